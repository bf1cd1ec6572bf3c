"""The counterpart: the side of a comparison that is asked.

It keeps nothing between two messages. What arrives is checked, whoever sends it: ranges must exist,
be few, and lie in partitions that both nodes own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import ProtocolError, StorageError
from kvorum.model.keys import is_range_start, partition_range
from kvorum.model.merkle import HASH_BYTES, Forest
from kvorum.model.placement_rule import PlacementRule
from kvorum.operations.operations import Operations
from kvorum.repair.inventory import Stock, check_entries
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Compare, Differing, Inventory, Refused

COMPARED_MAX: Final = 512
"""Ranges in one message."""


@dataclass(eq=False)
class Counterpart:
    """Answers the comparisons of other owners."""

    _view: ClusterView
    _replica: LocalReplica
    _operations: Operations
    _stock: Stock

    def on_compare(self, node: int, message: Compare) -> None:
        """Answer which of the ranges have other hashes here. Raises ProtocolError."""
        rule, forest = self._forest(message.rule)
        self._check_ranges(node, message, rule, forest)
        if not self._ready():
            self._refuse(node, message.op)
            return
        own, theirs = forest.hashes(message.level, message.indices), message.hashes
        differing = []
        if own != theirs:
            differing = [
                index
                for i, index in enumerate(message.indices)
                if own[HASH_BYTES * i :][:HASH_BYTES] != theirs[HASH_BYTES * i :][:HASH_BYTES]
            ]
        self._operations.transport.send(node, Differing(message.op, differing))

    def on_inventory(self, node: int, message: Inventory) -> None:
        """Answer how the records of a range differ from those here. Raises ProtocolError."""
        rule, _ = self._forest(message.rule)
        self._check_span(node, message, rule)
        check_entries(message.entries, message.start, message.end)
        if not self._ready():
            self._refuse(node, message.op)
            return
        try:
            diff = self._stock.against(message, rule)
        except StorageError:
            self._refuse(node, message.op)
        else:
            self._operations.transport.send(node, diff)

    def _ready(self) -> bool:
        return self._replica.trees.built and self._replica.store.failed is None

    def _refuse(self, node: int, op: int) -> None:
        text = "This node still builds its hash trees, or its store has failed."
        self._operations.transport.send(node, Refused(op, "not_ready", text))

    def _forest(self, rule_id: str) -> tuple[PlacementRule, Forest]:
        rule = PlacementRule.parse(rule_id)
        forest = None if rule is None else self._replica.trees.forest(rule)
        if rule is None or forest is None:
            known = ", ".join(rule.id for rule in self._view.rules)
            raise ProtocolError(
                f"No namespace follows the placement rule {rule_id[:80]!r}; there are {known}."
            )
        return rule, forest

    def _check_ranges(
        self, node: int, message: Compare, rule: PlacementRule, forest: Forest
    ) -> None:
        level, indices = message.level, message.indices
        if not 0 <= level <= forest.last_level:
            raise ProtocolError(
                f"Hash trees have the levels 0 to {forest.last_level}, not {level}."
            )
        if not 0 < len(indices) <= COMPARED_MAX or len(message.hashes) != HASH_BYTES * len(indices):
            raise ProtocolError(
                f"A comparison has 1 to {COMPARED_MAX} ranges with a hash of {HASH_BYTES} bytes "
                f"each, and this one has {len(indices)} with {len(message.hashes)} bytes in all."
            )
        if not 0 <= min(indices) <= max(indices) < forest.width(level):
            raise ProtocolError(
                f"Level {level} has {forest.width(level)} ranges, and not all of {indices[:8]}."
            )
        for partition in {forest.partition_of(level, index) for index in indices}:
            self._check_owned(node, rule, partition)

    def _check_span(self, node: int, message: Inventory, rule: PlacementRule) -> None:
        start, end = message.start, message.end
        if not is_range_start(start) or start >= end:
            raise ProtocolError(f"{start[:9]!r} to {end[:9]!r} is no range of keys.")
        partition = self._view.placement.partition(start[1:9])
        if end > partition_range(partition, self._view.topology.partition_bits)[1]:
            raise ProtocolError(f"The keys up to {end[:9]!r} are not all of partition {partition}.")
        self._check_owned(node, rule, partition)

    def _check_owned(self, node: int, rule: PlacementRule, partition: int) -> None:
        owners = self._view.placement.owners(partition, rule)
        if node not in owners or self._view.local not in owners:
            raise ProtocolError(
                f"Nodes {node} and {self._view.local} do not both own partition {partition}; its "
                f"owners are {owners}."
            )
