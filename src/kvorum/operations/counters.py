"""Counters: plain event counts of one node since its start, for status and metrics."""

from __future__ import annotations


class Counters:
    """How often each event has happened since the node started."""

    __slots__ = (
        "anti_entropy_repairs",
        "corrupt_records",
        "disowned_writes",
        "forwards",
        "handoffs",
        "hints_replayed",
        "hints_stored",
        "leaves_corrected",
        "lifetimes_refused",
        "reads",
        "repairs",
        "speculative_reads",
        "stand_in_writes",
        "timeouts",
        "tombstones_collected",
        "versions_expired",
        "writes",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    anti_entropy_repairs: int
    corrupt_records: int
    disowned_writes: int
    forwards: int
    handoffs: int
    hints_replayed: int
    hints_stored: int
    leaves_corrected: int
    lifetimes_refused: int
    reads: int
    repairs: int
    speculative_reads: int
    stand_in_writes: int
    timeouts: int
    tombstones_collected: int
    versions_expired: int
    writes: int

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}
