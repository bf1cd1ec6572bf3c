"""Readiness: whether a node should be sent requests now, and whether it works at all.

A node that is not ready may still answer many requests, and refuses none because of that: others
are the better choice. Where data is short of a quorum that is so at every node, and all of them say
so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from kvorum.cluster.view import ClusterView
from kvorum.documents.health import Health, Readiness
from kvorum.model.errors import StorageError
from kvorum.model.placement_rule import PlacementRule
from kvorum.replication.replicator import Replicator

_Owners = tuple[int, ...]


class HealthChecks:
    """What a running node says to whoever decides where requests go.

    `stopping`: it has been asked to stop.
    """

    __slots__ = ("_failure", "_is_linked", "_owners", "_replicator", "_view", "stopping")

    def __init__(
        self,
        view: ClusterView,
        replicator: Replicator,
        is_linked: Callable[[int], bool],
        failure: Callable[[], StorageError | None],
    ) -> None:
        """`is_linked`: whether a link to another node is open. `failure`: of the store, if it has
        failed.
        """
        self.stopping = False
        self._view = view
        self._replicator = replicator
        self._is_linked = is_linked
        self._failure = failure
        self._owners: dict[PlacementRule, Counter[_Owners]] = {}
        """For each rule, the sets of owners there are, and of how many partitions each."""

    def health(self) -> Health:
        """Healthy while the store has not failed; no answer comes if the event loop stands."""
        failure = self._failure()
        return Health(healthy=failure is None, reasons=[] if failure is None else [failure.message])

    def readiness(self) -> Readiness:
        """Ready if nothing speaks for another node."""
        reasons = [*self.health().reasons, *self._own_reasons(), *self._shortages()]
        return Readiness(ready=not reasons, reasons=reasons)

    @property
    def has_quorums(self) -> bool:
        """True if enough owners of every partition can be reached from here."""
        return not self._shortages()

    def _own_reasons(self) -> list[str]:
        replica = self._replicator.owner.replica
        clock = self._replicator.clocks.state
        found = {
            "The node stops.": self.stopping,
            "The node recovers its data from other nodes, and answers no reads of its own yet.": (
                replica.recovering
            ),
            "The disk is full: the node takes no new data.": replica.store.full,
            f"The node's clock is {clock}: it gives no lifetimes.": clock in ("wrong", "disputed"),
        }
        return [reason for reason, holds in found.items() if holds]

    def _shortages(self) -> list[str]:
        """For each namespace of which some partition has too few owners within reach."""
        return [
            f"Too few nodes are reachable for a quorum of namespace {name!r}: {short} of "
            f"{self._view.topology.partitions} partitions have fewer than {needed} owners."
            for name, settings in self._view.catalog.namespaces.items()
            if (short := self._short(settings.rule, needed := max(settings.read, settings.write)))
        ]

    def _short(self, rule: PlacementRule, needed: int) -> int:
        """How many partitions have fewer than `needed` owners that can be reached from here."""
        return sum(
            partitions
            for owners, partitions in self._owner_sets(rule).items()
            if sum(map(self._is_reachable, owners)) < needed
        )

    def _owner_sets(self, rule: PlacementRule) -> Counter[_Owners]:
        if rule not in self._owners:
            owners = self._view.placement.owners
            partitions = range(self._view.topology.partitions)
            self._owners[rule] = Counter(owners(partition, rule) for partition in partitions)
        return self._owners[rule]

    def _is_reachable(self, node: int) -> bool:
        if node == self._view.local:
            return True
        return self._is_linked(node) and node not in self._replicator.suspects
