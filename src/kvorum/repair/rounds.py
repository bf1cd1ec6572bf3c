"""The ledger of rounds: when each partition was last compared with each of its other owners.

A round of a partition is complete when this node has compared it with each other owner, and what
differed has been repaired.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kvorum.cluster.view import ClusterView
from kvorum.model.placement_rule import PlacementRule
from kvorum.operations.operations import Operations


class _Entry(NamedTuple):
    began: float
    ended_ms: int


_Place = tuple[PlacementRule, int]
"""A placement rule and a partition."""


class Rounds:
    """When each partition was last compared with each of its other owners."""

    def __init__(self, view: ClusterView, operations: Operations) -> None:
        """The ledger has the partitions that this node owns together with others."""
        self._view = view
        self._operations = operations
        self._entries: dict[_Place, dict[int, _Entry]] = {}
        self._repaired: dict[_Place, int] = {}
        self.follow()

    def follow(self) -> None:
        """Follow a change of the catalog: keep the ledger of the placement rules in use."""
        shared = [rule for rule in self._view.rules if rule.copies > 1]
        places = [(rule, partition) for rule in shared for partition in self._view.owned(rule)]
        self._entries = {place: self._entries.get(place, {}) for place in places}
        self._repaired = {place: self._repaired.get(place, 0) for place in places}

    def shared_with(self, node: int, rule: PlacementRule) -> list[int]:
        """The partitions that `node` and this node both own, under `rule`."""
        owners = self._view.placement.owners
        return [p for r, p in self._entries if r == rule and node in owners(p, r)]

    def peers(self, rule: PlacementRule, partition: int) -> list[int]:
        """The other owners of a partition that this node owns."""
        owners = self._view.placement.owners(partition, rule)
        return [node for node in owners if node != self._view.local]

    def note(self, rule: PlacementRule, partition: int, node: int, began: float) -> None:
        """The partition was compared with `node` from `began` (monotonic) on."""
        entry = _Entry(began, self._operations.runtime.wall_ms())
        if (rule, partition) in self._entries:  # else its last namespace was dropped meanwhile
            self._entries[rule, partition][node] = entry

    def note_repaired(self, rule: PlacementRule, partition: int, count: int) -> None:
        place = (rule, partition)
        self._repaired[place] = self._repaired.get(place, 0) + count

    def began_since(self, rule: PlacementRule, partition: int, since: float) -> bool:
        """True if a whole round of the partition began after `since` and is complete."""
        compared = self._entries.get((rule, partition), {})
        return all(
            node in compared and compared[node].began > since
            for node in self.peers(rule, partition)
        )

    def status(self) -> list[dict[str, Any]]:
        return [
            {
                "partition": partition,
                "replicas": rule.copies,
                "last_round_ms": self._complete_ms(rule, partition),
                "repaired": self._repaired.get((rule, partition), 0),
            }
            for rule, partition in self._entries
        ]

    def _complete_ms(self, rule: PlacementRule, partition: int) -> int | None:
        compared = self._entries[rule, partition]
        if len(compared) < len(self.peers(rule, partition)):
            return None
        return min(entry.ended_ms for entry in compared.values())
