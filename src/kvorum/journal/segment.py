"""A segment: a memtable, and the entries of the journal that bring it back after a crash.

Writes go to the youngest segment. When it is large or old enough it is closed, and filed: each
key's last value goes to the store below, and behind them the entries are deleted, oldest first.
The log keeps that order. So wherever a crash cuts it, what is left of the entries, played back
over what was filed, is the segment again: an entry that has survived has all its followers with
it, and the last of those that name a key has the value that was filed.

Filing goes along with new writes, as fast as they fill the next segment, whatever their sizes:
so it is done before that one is closed, and there are two of them at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from kvorum.journal.entries import entry_key
from kvorum.journal.memtable import Memtable
from kvorum.model.errors import StorageError
from kvorum.storage.budget import Budget
from kvorum.storage.space import SMALL_PART, total_bytes
from kvorum.storage.store import Store

_HURRY: Final = 1.5
"""By so much filing is faster than what comes in: it is done when two thirds have come."""


class SegmentLimits(msgspec.Struct, frozen=True):
    """When a segment is closed: bytes of memory, of entries; seconds since its first write."""

    memory_bytes: int
    entry_bytes: int
    age_s: float = 10.0

    @classmethod
    def within(cls, budget: Budget, directory: Path) -> Self:
        """Two segments are in memory at once. On a small disk there is little room for entries."""
        entry_bytes = min(budget.memtable_bytes // 2, total_bytes(directory) // SMALL_PART)
        return cls(budget.journal_bytes // 2, max(1, entry_bytes))


class Segment:
    __slots__ = ("entry_bytes", "first", "last", "memtable", "since")

    def __init__(self, first: int) -> None:
        """`first`: the number of its first entry."""
        self.memtable = Memtable()
        self.first = first
        self.last = first - 1
        self.entry_bytes = 0
        self.since = 0.0

    def add(self, entry_bytes: int, now: float) -> None:
        """Another entry holds the newest writes of the memtable."""
        if self.is_empty:
            self.since = now
        self.last += 1
        self.entry_bytes += entry_bytes

    @property
    def is_empty(self) -> bool:
        """True if it has no entries. Those that it has may all have opened to nothing."""
        return self.last < self.first

    def fullness(self, limits: SegmentLimits) -> float:
        """From 1 on it is to be closed."""
        return max(
            self.entry_bytes / limits.entry_bytes,
            self.memtable.size_bytes / limits.memory_bytes,
        )


class Filing:
    """Of one closed segment."""

    __slots__ = ("_fullness", "_steps", "_total", "done", "segment")

    def __init__(self, segment: Segment, below: Store, log: Store) -> None:
        self.segment = segment
        self.done = False
        self._total = len(segment.memtable.changes) + segment.last + 1 - segment.first
        self._fullness = 0.0
        self._steps = self._all_steps(below, log)

    def due(self, fullness: float) -> int:
        """The steps to take now that the next segment has become so full.

        What could not be taken while the disk was full is not asked for again, all in one turn.
        """
        gained = max(0.0, fullness - self._fullness)
        self._fullness += gained
        return ceil(_HURRY * gained * self._total)

    def advance(self, steps: int) -> None:
        """Take so many of them. Raises CorruptRecord if a record was damaged in memory."""
        for _ in islice(self._steps, steps):
            pass

    def _all_steps(self, below: Store, log: Store) -> Iterator[None]:
        segment = self.segment
        for key in list(segment.memtable.changes):
            changes = segment.memtable.changes
            if key in changes:  # It may have been forgotten since.
                _file(key, changes[key], below)
            yield
        for number in range(segment.first, segment.last + 1):
            log.delete(entry_key(number), ignore, None)
            yield
        self.done = True


def _file(key: bytes, value: bytes | None, below: Store) -> None:
    if value is None:
        below.delete(key, ignore, None)
    else:
        below.put(key, value, ignore, None)


def ignore(_arg: Any, _error: StorageError | None) -> None:
    """The store reports its failure to the node."""
