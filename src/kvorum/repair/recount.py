"""Counting entries anew where records were damaged.

What a damaged record was is not known, so what replaces it is counted as if nothing had been there
(`replica/counts.py`). Each partition in which damage is found is counted anew, one after another.
It does not matter whether the damaged record is replaced before or after that: while it is damaged
a walk does not meet it.
"""

from __future__ import annotations

from typing import Final

from kvorum.model.keys import partition_of
from kvorum.operations.operations import Operations
from kvorum.repair.walk import Walk
from kvorum.replica.local_replica import LocalReplica

_GATHER_S: Final = 2.0
"""Damages come in crowds: first let more of them be found."""


class Recounts:
    """Counts the partitions of one replica anew that have had damaged records."""

    def __init__(self, replica: LocalReplica, operations: Operations, partition_bits: int) -> None:
        self._replica = replica
        self._operations = operations
        self._bits = partition_bits
        self._due: set[int] = set()
        self._walk: Walk | None = None
        self._waits = False
        self._stopped = False

    def on_damaged(self, key: bytes) -> None:
        """The record at the storage key `key`, of which the token is sure, is damaged."""
        self._due.add(partition_of(key[1:9], self._bits))
        if not self._waits:
            self._waits = True
            self._operations.runtime.call_later(_GATHER_S, self._gathered)

    def leave(self) -> None:
        """All is about to be counted anew."""
        self._due.clear()
        self._end_walk()

    def stop(self) -> None:
        self._stopped = True
        self._end_walk()

    def begin(self) -> None:
        """Begin with the next partition, unless there is none or something is being counted."""
        if self._stopped or self._waits or not self._due or self._replica.counts.counting:
            return
        start, end = self._replica.counts.begin_partition(self._due.pop())
        self._walk = Walk(self._replica, self._operations, self._on_records, start, end)
        self._walk.start()

    def _gathered(self) -> None:
        self._waits = False
        self.begin()

    def _on_records(self, records: list[tuple[bytes, bytes]], upto: bytes) -> None:
        self._replica.counts.count(records, upto)
        self.begin()

    def _end_walk(self) -> None:
        if self._walk is not None:
            self._walk.stop()
            self._walk = None
