"""The Merkle trees of this node's records, one forest for each number of replicas.

Namespaces with different N have different owners for the same partition, so what two nodes
both own, and may compare, is one forest's partition. Namespaces kept in memory have no part in
this: what one node has evicted, its peers must not give back to it.

The trees live in memory and are built anew at each start, by a walk over the store in the
background (`walk.py`) while writes go on:

    b"d" ....counted.... | ......left to the walk...... b"e"
                         ^ counted up to here

A write behind the mark changes its leaf at once, one ahead of it is seen by the walk.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kvorum.model.merkle import Forest
from kvorum.model.topology import Topology

START: Final = b"d"
END: Final = b"e"


class Trees:
    __slots__ = ("_by_namespace", "_counted_to", "_forests", "_only")

    def __init__(self, topology: Topology) -> None:
        bits = topology.partition_bits
        compared = {
            name: settings.replicas
            for name, settings in topology.namespaces.items()
            if settings.durability != "none"
        }
        self._forests = {replicas: Forest(bits) for replicas in sorted(set(compared.values()))}
        self._by_namespace = {
            name.encode(): self._forests[replicas] for name, replicas in compared.items()
        }
        alike = len(self._forests) == 1 and len(compared) == len(topology.namespaces)
        self._only = next(iter(self._forests.values())) if alike else None
        self._counted_to = START

    def replace(self, key: bytes, old: bytes, new: bytes) -> None:
        """The record at storage key `key` was `old` and is `new`, encoded; empty for none."""
        if key < self._counted_to:
            forest = self._only or self._of(key)
            if forest is not None:
                forest.replace(key, old, new)

    def count(self, records: Iterable[tuple[bytes, bytes]], end: bytes) -> None:
        """`records` are all there are from where counting stopped to before `end`."""
        self._counted_to = end
        for key, data in records:
            self.replace(key, b"", data)

    def clear(self) -> None:
        """Begin to count anew."""
        self._counted_to = START
        for forest in self._forests.values():
            forest.clear()

    @property
    def built(self) -> bool:
        """True once every record is counted. Before, hashes mean nothing."""
        return self._counted_to >= END

    @property
    def replica_counts(self) -> tuple[int, ...]:
        """Each N that some namespace has."""
        return tuple(self._forests)

    def forest(self, replicas: int) -> Forest | None:
        return self._forests.get(replicas)

    def those_with(
        self, replicas: int, records: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """The ones of `records` that have `replicas` replicas."""
        forest = self._forests.get(replicas)
        return [pair for pair in records if self._of(pair[0]) is forest]

    def _of(self, key: bytes) -> Forest | None:
        return self._by_namespace.get(key[9 : key.index(0, 9)])
