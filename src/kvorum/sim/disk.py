"""A simulated disk: what a node has written, and what of it a crash leaves.

Writes go to a log in order. A sync covers all that is in the log when it begins and takes a
random time; writes that arrive meanwhile wait for the next one (group commit). A crash keeps
everything synced and a random prefix of the rest, because the operating system may have
written some of it back on its own.

    log    | synced: survives | syncing now | waiting |
                              '--- a random prefix survives ---'

Beside the log stands the node's identity, the same value and the same rule as on a real disk
(`storage/identity.py`): after a crash the next life is a new actor.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any

from kvorum.model.errors import StorageError
from kvorum.sim.scheduler import NodeRuntime
from kvorum.storage.identity import Identity
from kvorum.storage.store import Done


class Disk:
    """What outlives a node's process."""

    __slots__ = ("content", "identity", "known", "lives", "sync_s_mean")

    def __init__(
        self, identity: Identity, sync_s_mean: float, content: Mapping[bytes, bytes]
    ) -> None:
        """`identity`: that of the node's first life, which finds `content` there."""
        self.identity = identity
        self.sync_s_mean = sync_s_mean
        self.lives = 0
        self.content: dict[bytes, bytes] = dict(content)
        self.known: dict[int, str] = {}
        """The address book: node to the id it last had."""

    def begin_life(self) -> Identity:
        """Who the node that starts now is. Durable before the node's first write."""
        if self.lives:
            self.identity = self.identity.next_life()
        self.lives += 1
        return self.identity


class DiskStore:
    """The `Store` of one node life, on its disk."""

    __slots__ = (
        "_disk",
        "_keys",
        "_log",
        "_memory",
        "_rng",
        "_runtime",
        "_syncing",
        "failed",
        "full",
        "pressed",
    )

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random) -> None:
        self._disk = disk
        self._runtime = runtime
        self._rng = rng
        self._memory = dict(disk.content)
        self._keys = sorted(self._memory)
        self._log: list[tuple[bytes, bytes | None, Done, Any]] = []
        self._syncing = False
        self.failed: StorageError | None = None
        self.full = False
        self.pressed = False

    # The Store port

    def get(self, key: bytes) -> bytes | None:
        return self._memory.get(key)

    def warm(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bool:
        return True

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        if self._refused(done, arg):
            return
        if key not in self._memory:
            self._keys.insert(bisect_left(self._keys, key), key)
        self._memory[key] = value
        self._append(key, value, done, arg)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        if self._refused(done, arg):
            return
        if key in self._memory:
            del self._keys[bisect_left(self._keys, key)]
            del self._memory[key]
        self._append(key, None, done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        first = bisect_left(self._keys, start)
        last = bisect_left(self._keys, end, first)
        return [(key, self._memory[key]) for key in self._keys[first : min(last, first + limit)]]

    # What may befall it

    def fail(self) -> None:
        """From now on nothing becomes durable any more, and part of what was not is gone."""
        self.failed = StorageError("wanted a log sync, got an input/output error")
        for _, _, done, arg in self._log:
            self._runtime.call_soon(done, arg, self.failed)
        del self._log[self._rng.randint(0, len(self._log)) :]
        self._memory = dict(self._disk.content)
        for key, value, _, _ in self._log:
            _change(self._memory, key, value)
        self._keys = sorted(self._memory)

    def crash(self) -> int:
        """Leave on disk what a crash leaves; returns how many writes were lost."""
        self._settle(self._rng.randint(0, len(self._log)))
        return len(self._log)

    def close(self, counter: int) -> None:
        """Sync all and leave a clean disk, with the last counter the node used."""
        self._settle(len(self._log))
        self._disk.identity = self._disk.identity.stopped_at(counter)

    def _refused(self, done: Done, arg: Any) -> bool:
        if self.failed is None:
            return False
        self._runtime.call_soon(done, arg, self.failed)
        return True

    def _append(self, key: bytes, value: bytes | None, done: Done, arg: Any) -> None:
        self._log.append((key, value, done, arg))
        if not self._syncing:
            self._syncing = True
            self._runtime.call_soon(self._sync)

    def _sync(self) -> None:
        delay_s = self._rng.expovariate(1 / self._disk.sync_s_mean)
        self._runtime.call_later(delay_s, self._synced, len(self._log))

    def _synced(self, count: int) -> None:
        if self.failed is not None:
            return
        group = self._log[:count]
        self._settle(count)
        for _, _, done, arg in group:
            done(arg, None)
        if self._log:
            self._sync()
        else:
            self._syncing = False

    def _settle(self, count: int) -> None:
        """Make the first `count` writes of the log durable."""
        for key, value, _, _ in self._log[:count]:
            _change(self._disk.content, key, value)
        del self._log[:count]


def _change(content: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        content.pop(key, None)
    else:
        content[key] = value
