"""Counting entries anew where records were damaged.

What a damaged record was is not known, so what replaces it is counted as if nothing had been there
(`replica/counts.py`). Each partition in which damage is found is counted anew, one after another,
and once more when all of it can be read again: a walk does not meet what is damaged, but the row
cache may still know the record when it is replaced, so that this is not counted for a new one.
"""

from __future__ import annotations

from itertools import islice
from typing import Final

from kvorum.model.errors import StorageError
from kvorum.model.keys import partition_of, partition_range
from kvorum.operations.operations import Operations
from kvorum.repair.walk import Walk
from kvorum.replica.local_replica import LocalReplica

_GATHER_S: Final = 2.0
"""Damages come in crowds: first let more of them be found. And how often it is looked whether what
was damaged can be read again.
"""
_LOOKED_AT: Final = 16
"""Of so many partitions at a time."""


class Recounts:
    """Counts the partitions of one replica anew that have had damaged records."""

    def __init__(self, replica: LocalReplica, operations: Operations, partition_bits: int) -> None:
        self._replica = replica
        self._operations = operations
        self._bits = partition_bits
        self._due: set[int] = set()
        self._damaged: dict[int, None] = {}
        """The partitions to be counted once all of them can be read, the one looked at last behind.
        """
        self._counted = 0
        """The partition that is being counted, or was last."""
        self._walk: Walk | None = None
        self._waits = False
        self._stopped = False

    def on_damaged(self, key: bytes) -> None:
        """The record at the storage key `key`, of which the token is sure, is damaged."""
        self._due.add(partition_of(key[1:9], self._bits))
        self._wait()

    def leave(self) -> None:
        """All is about to be counted anew, but for what is damaged."""
        self._damaged |= dict.fromkeys(self._due)
        self._due.clear()
        self._end_walk()
        self._wait()

    def stop(self) -> None:
        self._stopped = True
        self._end_walk()

    def begin(self) -> None:
        """Begin with the next partition, unless there is none or something is being counted."""
        if self._stopped or self._waits or not self._due or self._replica.counts.counting:
            return
        self._counted = self._due.pop()
        if not self._can_read(self._counted):
            self._damaged[self._counted] = None
        start, end = self._replica.counts.begin_partition(self._counted)
        self._walk = Walk(self._replica, self._operations, self._on_records, start, end)
        self._walk.start()

    def _wait(self) -> None:
        if not self._waits and (self._due or self._damaged):
            self._waits = True
            self._operations.runtime.call_later(_GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._waits = False
        if self._stopped or self._replica.store.failed is not None:
            return
        for partition in list(islice(self._damaged, _LOOKED_AT)):
            del self._damaged[partition]
            if self._can_read(partition):
                self._due.add(partition)
            else:
                self._damaged[partition] = None
        if self._due:
            self.begin()
        else:
            self._wait()

    def _can_read(self, partition: int) -> bool:
        try:
            return not self._replica.store.unreadable(*partition_range(partition, self._bits))
        except StorageError:
            return False  # The store has failed for good, and tells the node itself.

    def _on_records(self, records: list[tuple[bytes, bytes]], upto: bytes) -> None:
        self._replica.counts.count(records, upto)
        if not self._replica.counts.counting and not self._due:
            self._wait()
        self.begin()

    def _end_walk(self) -> None:
        if self._walk is not None:
            self._walk.stop()
            self._walk = None
