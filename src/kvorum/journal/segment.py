"""A segment: a memtable, and the entries of the journal that bring it back after a crash.

Writes go to the youngest segment. When it is large or old enough it is closed, and once its
entries are durable it is flushed: each key's last value goes to the store below. When all that is
durable there the memtable goes, and the log lets go of the entries. So a crash leaves all
entries that are not known to be flushed. Played back over whatever was, they give the segment
again: a key has the last value that an entry names for it, and what has been flushed since, from a
later segment, is named by entries that are still there.

Flush goes along with new writes, as fast as they fill the next segment, whatever their sizes:
so it is done before that one is closed, and there are two of them at most.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Final, Self

import msgspec

from kvorum.journal.memtable import Memtable
from kvorum.storage.budget import Budget
from kvorum.storage.log_file import BLOCK
from kvorum.storage.space import SMALL_PART, total_bytes
from kvorum.storage.store import FlushTarget

_HURRY: Final = 1.5
"""By so much flush is faster than what comes in: it is done when two thirds have come."""

_PORTION: Final = 64
"""So many keys are flushed in one go, if a segment has many: each go has a price of its own, and
what was just done for one key is at hand for the next.
"""


class SegmentLimits(msgspec.Struct, frozen=True):
    """When a segment is closed: bytes of memory, of entries in the log; seconds since its first
    write. `block_bytes`: an entry takes whole blocks of the log.
    """

    memory_bytes: int
    entry_bytes: int
    age_s: float = 10.0
    block_bytes: int = 1

    @classmethod
    def within(cls, budget: Budget, directory: Path) -> Self:
        """Two segments are in memory at once. On a small disk there is little room for entries."""
        entry_bytes = min(budget.memtable_bytes // 2, total_bytes(directory) // SMALL_PART)
        return cls(budget.journal_bytes // 2, max(1, entry_bytes), block_bytes=BLOCK)

    def in_log(self, entry: bytes) -> int:
        """The bytes that `entry` takes there."""
        return -(-len(entry) // self.block_bytes) * self.block_bytes


class Segment:
    """A memtable and the numbers of its entries."""

    __slots__ = ("entry_bytes", "first", "last", "memtable", "since")

    def __init__(self) -> None:
        self.memtable = Memtable()
        self.first = 0
        self.last = 0
        """The numbers of its first and last entry; 0 while it has none."""
        self.entry_bytes = 0
        self.since = 0.0

    def add(self, number: int, entry_bytes: int, now: float) -> None:
        """The entry of this number holds the newest writes of the memtable."""
        if not self.first:
            self.first = number
            self.since = now
        self.last = number
        self.entry_bytes += entry_bytes

    @property
    def is_empty(self) -> bool:
        """True if it has no entries. Those that it has may all have opened to nothing."""
        return not self.first

    def fullness(self, limits: SegmentLimits) -> float:
        """From 1 on it is to be closed."""
        return max(
            self.entry_bytes / limits.entry_bytes, self.memtable.size_bytes / limits.memory_bytes
        )


class Unflushed(msgspec.Struct, frozen=True):
    """What the journal holds that is not flushed yet: records, their bytes in memory and in the
    log, and the age of the oldest (s).
    """

    records: int
    memory_bytes: int
    log_bytes: int
    lag_s: float

    @classmethod
    def of(cls, segments: Iterable[Segment], now: float) -> Self:
        """What `segments`, the oldest first, hold at `now`."""
        held = [segment for segment in segments if not segment.is_empty]
        return cls(
            sum(len(segment.memtable.changes) for segment in held),
            sum(segment.memtable.size_bytes for segment in held),
            sum(segment.entry_bytes for segment in held),
            now - held[0].since if held else 0.0,
        )


class Flush:
    """Of one closed segment."""

    def __init__(self, segment: Segment, below: FlushTarget) -> None:
        self.segment = segment
        self.done = False
        self._below = below
        self._fullness = 0.0
        self._owed = 0.0
        self._steps = self._flush_all()

    def due(self, fullness: float) -> int:
        """How many keys to flush now that the next segment has become so full: none until a portion
        of them is due.

        What could not be flushed while the disk was full is not asked for again, all in one turn.
        """
        gained = max(0.0, fullness - self._fullness)
        self._fullness += gained
        keys = len(self.segment.memtable.changes)
        self._owed += _HURRY * gained * keys
        if self._owed < min(_PORTION, keys // _PORTION):
            return 0
        due = ceil(self._owed)
        self._owed = 0.0
        return due

    def advance(self, keys: int) -> None:
        """Flush so many keys. Raises CorruptRecord if a record was damaged in memory."""
        for _ in islice(self._steps, keys):
            pass

    def _flush_all(self) -> Iterator[None]:
        """If it raises it is never done: entries that could not be flushed are not let go of."""
        for key in list(self.segment.memtable.changes):
            changes = self.segment.memtable.changes
            if key in changes:  # It may have been forgotten since.
                self._below.write(key, changes[key])
            yield
        self.done = True
