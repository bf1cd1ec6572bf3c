"""The Merkle trees of this node's records, one forest for each placement rule.

Namespaces with different rules have different owners for the same partition, so what two nodes both
own, and may compare, is one forest's partition. Namespaces kept in memory have no trees: the other
owners must not give back to a node what it has evicted.

The trees live in memory and are built anew at each start, by a walk over the store in the
background (`walk.py`) while writes go on:

    b"d" ....counted.... | ......left to the walk...... b"e"
                         ^ counted up to here

A write behind the mark changes its leaf at once, one ahead of it is seen by the walk.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kvorum.model.catalog import Catalog
from kvorum.model.keys import namespace_of, partition_of
from kvorum.model.merkle import Forest
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.prefixes import RECORD, RECORDS_END

START: Final = RECORD
END: Final = RECORDS_END


class Trees:
    """The forests of one node, kept current with each record that is stored."""

    __slots__ = ("_bits", "_by_namespace", "_counted_to", "_forests", "_only")

    def __init__(self, catalog: Catalog, partition_bits: int) -> None:
        self._bits = partition_bits
        self._counted_to = START
        self._forests: dict[PlacementRule, Forest] = {}
        self._by_namespace: dict[bytes, Forest] = {}
        self._only: Forest | None = None
        self.follow(catalog)

    def follow(self, catalog: Catalog) -> None:
        """Go over to the namespaces of `catalog`. A forest whose last namespace is gone goes, too;
        what a namespace that is gone has left in another one goes when all is counted anew.
        """
        compared = {
            name: settings.rule
            for name, settings in catalog.namespaces.items()
            if settings.durability != "none"
        }
        known = self._forests
        self._forests = {
            rule: known.get(rule) or Forest(self._bits) for rule in sorted(set(compared.values()))
        }
        self._by_namespace = {name.encode(): self._forests[rule] for name, rule in compared.items()}
        alike = len(self._forests) == 1 and len(compared) == len(catalog.namespaces)
        self._only = next(iter(self._forests.values())) if alike else None

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

    def forest(self, rule: PlacementRule) -> Forest | None:
        """The trees of the records under `rule`; None if no namespace follows it."""
        return self._forests.get(rule)

    def partition(self, key: bytes) -> int:
        """The partition of a storage key."""
        return partition_of(key[1:9], self._bits)

    def those_under(
        self, rule: PlacementRule, records: list[tuple[bytes, bytes]]
    ) -> list[tuple[bytes, bytes]]:
        """The ones of `records` that follow `rule`."""
        forest = self._forests.get(rule)
        return [pair for pair in records if self._of(pair[0]) is forest]

    def _of(self, key: bytes) -> Forest | None:
        return self._by_namespace.get(namespace_of(key))
