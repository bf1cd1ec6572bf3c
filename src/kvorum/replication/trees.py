"""The Merkle trees of this node's records, one forest for each number of replicas.

Namespaces with different N have different owners for the same partition, so what two nodes
both own, and may compare, is one forest's partition.
"""

from __future__ import annotations

from kvorum.model.merkle import Forest
from kvorum.model.topology import Topology


class Trees:
    __slots__ = ("_by_namespace", "_forests", "_only")

    def __init__(self, topology: Topology) -> None:
        bits = topology.partition_bits
        counts = {settings.replicas for settings in topology.namespaces.values()}
        self._forests = {replicas: Forest(bits) for replicas in counts}
        self._by_namespace = {
            name.encode(): self._forests[settings.replicas]
            for name, settings in topology.namespaces.items()
        }
        self._only = next(iter(self._forests.values())) if len(counts) == 1 else None

    def replace(self, key: bytes, old: bytes, new: bytes) -> None:
        """The record at storage key `key` was `old` and is `new`, encoded; empty for none."""
        forest = self._only or self._by_namespace.get(key[9 : key.index(0, 9)])
        if forest is not None:
            forest.replace(key, old, new)
