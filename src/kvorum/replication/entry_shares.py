"""Whose entries a node counts: those of the partitions that it answers for.

A partition has several owners, each with a copy. Its entries are counted by the first of them that
is up, so that the sums over all nodes count each once. Nodes that do not agree on who is up count
some twice or not at all, for as long as they do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

from kvorum.cluster.view import ClusterView
from kvorum.documents.status import NamespaceCounts
from kvorum.model.entry_counts import EntryCounts
from kvorum.model.placement_rule import PlacementRule


def namespace_counts(
    view: ClusterView, held: Mapping[str, EntryCounts], up: Set[int]
) -> dict[str, NamespaceCounts]:
    """The counts of each namespace of `view`. `held`: of what this node holds. `up`: the nodes
    that are up.
    """
    answered: dict[PlacementRule, list[bool]] = {}
    found = {}
    for name, settings in view.catalog.namespaces.items():
        counts, rule = held.get(name), settings.rule
        if counts is None:
            continue
        if rule not in answered:
            answered[rule] = _answered(view, rule, up)
        keys, size = counts.within(answered[rule])
        held_keys, held_bytes = counts.total
        found[name] = NamespaceCounts(
            keys=keys, bytes=size, held_keys=held_keys, held_bytes=held_bytes
        )
    return found


def _answered(view: ClusterView, rule: PlacementRule, up: Set[int]) -> list[bool]:
    """By partition, whether this node is the first owner that is up."""
    owners, local = view.placement.owners, view.local
    return [
        next((node for node in owners(partition, rule) if node in up), None) == local
        for partition in range(view.topology.partitions)
    ]
