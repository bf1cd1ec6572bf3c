"""The `Log` of a node's life, on its simulated disk.

Entries are written one at a time, and a sync takes a random time. A crash keeps all that was
durable and a random prefix of the rest; it cuts the store beside it (`disk.py`) elsewhere, as
two files on a real disk are cut independently.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kvorum.model.errors import StorageError
from kvorum.sim.disk import Disk
from kvorum.sim.scheduler import NodeRuntime
from kvorum.storage.store import Done

_MARK: Final = b""


class _Pending(NamedTuple):
    number: int
    entry: bytes
    needed: int
    done: Done
    arg: Any


class DiskLog:
    """The Log of one node life, on its disk."""

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random) -> None:
        self._disk = disk
        self._runtime = runtime
        self._rng = rng
        self._pending: deque[_Pending] = deque()
        self._needed = disk.needed
        self.last = max(disk.entries, default=0)
        self.failed: StorageError | None = None

    # The Log port

    def append(self, entry: bytes, done: Done, arg: Any) -> int:
        assert entry, "an entry without text is a mark"
        return self._append(entry, done, arg)

    def release(self, number: int, done: Done, arg: Any) -> None:
        self._needed = max(self._needed, number + 1)
        self._append(_MARK, done, arg)

    def part(self) -> None:
        """What is not needed any more is always removed here."""

    def entries(self) -> Iterator[tuple[int, bytes]]:
        for number in range(self._disk.needed, self.last + 1):
            entry = self._disk.entries[number]
            if entry != _MARK:
                yield number, entry

    # What may befall it

    def fail(self) -> None:
        """From now on nothing becomes durable any more, and part of what was not is gone."""
        self.failed = StorageError("The log cannot be synced: input/output error.")
        for pending in self._pending:
            self._runtime.call_soon(pending.done, pending.arg, self.failed)
        for _ in range(self._rng.randint(0, len(self._pending))):
            self._pending.pop()

    def crash(self) -> int:
        """Leave on disk what a crash leaves; returns how many entries were lost."""
        for _ in range(self._rng.randint(0, len(self._pending))):
            self._settle()
        return len(self._pending)

    def close(self) -> None:
        """Sync all."""
        while self._pending:
            self._settle()

    def _append(self, entry: bytes, done: Done, arg: Any) -> int:
        self.last += 1
        if self.failed is not None:
            self._runtime.call_soon(done, arg, self.failed)
            return self.last
        self._pending.append(_Pending(self.last, entry, self._needed, done, arg))
        if len(self._pending) == 1:
            self._runtime.call_soon(self._sync)
        return self.last

    def _sync(self) -> None:
        delay_s = self._rng.expovariate(1 / self._disk.sync_s_mean)
        self._runtime.call_later(delay_s, self._synced)

    def _synced(self) -> None:
        if self.failed is not None:
            return
        settled = self._settle()
        if self._pending:
            self._sync()
        settled.done(settled.arg, None)

    def _settle(self) -> _Pending:
        """Make the oldest that is not durable yet so."""
        pending = self._pending.popleft()
        disk = self._disk
        disk.entries[pending.number] = pending.entry
        for number in range(disk.needed, pending.needed):
            disk.entries.pop(number, None)
        disk.needed = pending.needed
        return pending
