"""A simulated disk: what a node has written, and what of it a crash leaves.

Writes go to a log in order. A sync covers all that is in the log when it begins and takes a
random time; those that are asked for meanwhile wait for the next one. A crash keeps everything
synced and a random prefix of the rest, because the operating system may have written some of it
back on its own.

    log    | synced: survives | syncing now | waiting |
                              '--- a random prefix survives ---'

A record can be damaged where it is stored. Until something else is written there a read of it
says so, a scan leaves it out, and the node is told once, as on a real disk
(`sealing/sealed_store.py`, `sealing/quarantine.py`). A disk can be full: then it says so, and
takes what it is given; the node has to hold back.

The entries of the node's journal have a log of their own (`disk_log.py`). Beside both stands the
node's identity, the same value and the same rule as on a real disk
(`storage/identity.py`): after a crash the next life is a new actor.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.keys import token_range
from kvorum.model.prefixes import RECORD
from kvorum.model.security_catalog import SecurityCatalog
from kvorum.sim.scheduler import NodeRuntime
from kvorum.storage.identity import Identity
from kvorum.storage.store import Done, KeyRange

_NOTHING: Final = b""
"""No pair has this key: to delete it changes nothing."""


class Disk:
    """What outlives a node's process."""

    def __init__(
        self, identity: Identity, sync_s_mean: float, content: Mapping[bytes, bytes]
    ) -> None:
        """`identity`: that of the node's first life, which finds `content` there."""
        self.identity = identity
        self.sync_s_mean = sync_s_mean
        self.lives = 0
        self.content: dict[bytes, bytes] = dict(content)
        self.entries: dict[int, bytes] = {}
        self.needed = 1
        """The journal's, by number, from the oldest that is needed on."""
        self.damaged: set[bytes] = set()
        """Keys of which `content` does not read any more."""
        self.quarantine: set[bytes] = set()
        """Those of them that have been found."""
        self.full = False
        self.known: dict[int, str] = {}
        """The address book: node to the id it last had."""
        self.security = SecurityCatalog()

    def records(self) -> Iterator[bytes]:
        """The stored keys of all records."""
        return (key for key in self.content if key[:1] == RECORD)

    def begin_life(self) -> Identity:
        """Who the node that starts now is. Durable before the node's first write."""
        if self.lives:
            self.identity = self.identity.next_life()
        self.lives += 1
        return self.identity


class DiskStore:
    """The FlushTarget of one node life, on its disk."""

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random) -> None:
        self.disk = disk
        self._runtime = runtime
        self._rng = rng
        self._memory = dict(disk.content)
        self._keys = sorted(self._memory)
        self._log: list[tuple[bytes, bytes | None, Done, Any]] = []
        self._syncing = False
        # Of the keys damaged on the disk, those that nothing has been written to since.
        self._damaged = set(disk.damaged)
        self._misreads = 0
        self.failed: StorageError | None = None
        self.pressed = False
        self.on_damaged: Callable[[bytes], object] = _ignore
        """Told of each damaged key when it is found, within the `get` or `scan`."""

    # The FlushTarget port

    @property
    def full(self) -> bool:
        return self.disk.full

    def get(self, key: bytes) -> bytes | None:
        if self._damaged and key in self._damaged:
            self._find(key)
            raise CorruptRecord("The record is damaged on the disk.")
        if self._misreads and key[:1] == RECORD:
            self._misreads -= 1
            raise StorageError("The record cannot be read: input/output error.")
        return self._memory.get(key)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | None:
        return self.get(key)

    def write(self, key: bytes, value: bytes | None) -> None:
        if self.failed is not None:
            return
        if value is None:
            self._delete(key)
        else:
            self._put(key, value)
        self._log.append((key, value, _nobody, None))

    def sync(self, done: Done, arg: Any) -> None:
        if self.failed is not None:
            self._runtime.call_soon(done, arg, self.failed)
            return
        self._log.append((_NOTHING, None, done, arg))
        if not self._syncing:
            self._syncing = True
            self._runtime.call_soon(self._sync)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        first = bisect_left(self._keys, start)
        last = bisect_left(self._keys, end, first)
        if not self._damaged:
            last = min(last, first + limit)
            return [(key, self._memory[key]) for key in self._keys[first:last]]
        return list(islice(self._sound(first, last), limit))

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        damaged = sorted(key for key in self._damaged.difference(replaced) if start <= key < end)
        return [token_range(key[1:]) for key in damaged]

    def _put(self, key: bytes, value: bytes) -> None:
        if key not in self._memory:
            self._keys.insert(bisect_left(self._keys, key), key)
        self._memory[key] = value
        self._release(key)

    def _delete(self, key: bytes) -> None:
        if key in self._memory:
            del self._keys[bisect_left(self._keys, key)]
            del self._memory[key]
            self._release(key)

    def _sound(self, first: int, last: int) -> Iterator[tuple[bytes, bytes]]:
        for key in self._keys[first:last]:
            if key in self._damaged:
                self._find(key)
            else:
                yield key, self._memory[key]

    def _find(self, key: bytes) -> None:
        if key not in self.disk.quarantine:
            self.disk.quarantine.add(key)
            self.on_damaged(key)

    def _release(self, key: bytes) -> None:
        """What is damaged there, if anything, has been replaced."""
        if self._damaged:
            self._damaged.discard(key)
            self.disk.quarantine.discard(key)

    # What may befall it

    def damage(self, key: bytes) -> None:
        """What is stored at `key` does not read any more."""
        self.disk.damaged.add(key)
        if all(key != logged for logged, _, _, _ in self._log):
            self._damaged.add(key)

    def spoil(self, key: bytes) -> None:
        """A byte of what is stored at `key` changes, and nobody is told."""
        disk = self.disk
        sealed = disk.content[key]
        disk.content[key] = sealed[:-1] + bytes([sealed[-1] ^ 1])
        if all(key != logged for logged, _, _, _ in self._log):
            self._memory[key] = disk.content[key]

    def misread(self, times: int) -> None:
        """So many more reads of records fail, on end; the one after them does not."""
        self._misreads += times

    def scrub(self) -> None:
        """Find all that is damaged, as the scrubber does in time."""
        for key in sorted(self._damaged):
            self._find(key)

    def heal(self) -> None:
        """What is damaged stays so; what comes and goes, goes."""
        self._misreads = 0

    def held(self, key: bytes) -> bytes | None:
        """For whoever looks inside: what is there that is sound."""
        return None if key in self._damaged else self._memory.get(key)

    def is_damaged(self, key: bytes) -> bool:
        return key in self._damaged

    def fail(self) -> None:
        """From now on nothing becomes durable any more, and part of what was not is gone."""
        self.failed = StorageError("The log cannot be synced: input/output error.")
        for _, _, done, arg in self._log:
            self._runtime.call_soon(done, arg, self.failed)
        del self._log[self._rng.randint(0, len(self._log)) :]
        self._memory = dict(self.disk.content)
        for key, value, _, _ in self._log:
            _change(self._memory, key, value)
        self._keys = sorted(self._memory)
        self._damaged = self.disk.damaged.difference(key for key, _, _, _ in self._log)

    def crash(self) -> int:
        """Leave on disk what a crash leaves; returns how many writes were lost."""
        self._settle(self._rng.randint(0, len(self._log)))
        return sum(key != _NOTHING for key, _, _, _ in self._log)

    def close(self, counter: int) -> None:
        """Sync all and leave a clean disk, with the last counter the node used."""
        self._settle(len(self._log))
        self.disk.identity = self.disk.identity.stopped_at(counter, 0)

    def _sync(self) -> None:
        delay_s = self._rng.expovariate(1 / self.disk.sync_s_mean)
        self._runtime.call_later(delay_s, self._synced, len(self._log))

    def _synced(self, count: int) -> None:
        if self.failed is not None:
            return
        group = self._log[:count]
        self._settle(count)
        for _, _, done, arg in group:
            done(arg, None)
        if any(done is not _nobody for _, _, done, _ in self._log):
            self._sync()
        else:
            self._syncing = False

    def _settle(self, count: int) -> None:
        """Make the first `count` writes of the log durable."""
        for key, value, _, _ in self._log[:count]:
            _change(self.disk.content, key, value)
            self.disk.damaged.discard(key)
        del self._log[:count]


def _nobody(_arg: Any, _error: StorageError | None) -> None:
    """Waits for a write."""


def _ignore(_key: bytes) -> None:
    """A store that no node listens to."""


def _change(content: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        content.pop(key, None)
    else:
        content[key] = value
