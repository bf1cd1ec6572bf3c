"""Whether the snapshots of some nodes must hold every write that was acknowledged.

A write is acknowledged once W of the N owners of its partition have it, so every one of them is
among any N - W + 1 of the owners: those that lack it are N - W at most. Under a sloppy quorum any
nodes may have stood in for owners, so all nodes count in their place. A namespace that the cluster
no longer had in its file may have had any W: there all nodes are needed.

A node speaks only for what it held. It does not speak for records that were damaged, or in doubt,
when its snapshot was made; and for none at all if it had lost its data and not yet got it back.

(D. K. Gifford, "Weighted Voting for Replicated Data", 1979.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from kvorum.model.placement import Placement
from kvorum.model.topology import Topology


class Part(NamedTuple):
    """What one snapshot can speak for. `unread`: tokens, 8 bytes each, for which it cannot."""

    node: str
    topology: Topology
    whole: bool
    unread: frozenset[bytes] = frozenset()


class Gap(msgspec.Struct, frozen=True):
    """Partitions of a namespace whose acknowledged writes need not be there."""

    namespace: str
    partitions: int
    total: int


class Coverage(msgspec.Struct, frozen=True):
    """`missing`: nodes without a snapshot. `forgetful`: nodes that had lost their data.
    `damaged`: how many tokens of other partitions not enough snapshots speak for.
    """

    missing: tuple[str, ...]
    forgetful: tuple[str, ...]
    gaps: tuple[Gap, ...]
    damaged: int

    @property
    def complete(self) -> bool:
        return not self.gaps and not self.damaged


class _Rule(NamedTuple):
    """Of the nodes `voters(partition)`, `needed` have to speak."""

    voters: Callable[[int], Collection[int]]
    needed: int


def coverage(parts: Sequence[Part], namespaces: Collection[str]) -> Coverage:
    """What `parts` lack of the acknowledged writes to `namespaces`.

    Where the snapshots were made under several topologies, it has to hold under each of them.
    """
    topologies: list[Topology] = []
    for part in parts:
        if not any(_is_alike(part.topology, other) for other in topologies):
            topologies.append(part.topology)
    found = [_under(topology, parts, namespaces) for topology in topologies]
    gaps: dict[str, Gap] = {}
    for gap in (gap for one in found for gap in one.gaps):
        known = gaps.get(gap.namespace)
        if known is None or known.partitions < gap.partitions:
            gaps[gap.namespace] = gap
    return Coverage(
        tuple(dict.fromkeys(node for one in found for node in one.missing)),
        tuple(dict.fromkeys(node for one in found for node in one.forgetful)),
        tuple(gaps[name] for name in sorted(gaps)),
        max(one.damaged for one in found),
    )


def _is_alike(one: Topology, other: Topology) -> bool:
    """True if both say the same of who owns what, and of how many have acknowledged a write."""
    return one.fingerprint() == other.fingerprint() and one.namespaces == other.namespaces


def _under(topology: Topology, parts: Sequence[Part], namespaces: Collection[str]) -> Coverage:
    placement = Placement(topology)
    numbers = {spec.name: spec.number for spec in topology.nodes}
    known = [part for part in parts if part.node in numbers]
    speaking = [part for part in known if part.whole]
    tokens = frozenset().union(*(part.unread for part in speaking))
    gaps, damaged = [], set()
    for namespace in namespaces:
        rule = _rule(topology, placement, namespace)
        if rule is None:
            continue
        present = {numbers[part.node] for part in speaking}
        short = {
            partition
            for partition in range(topology.partitions)
            if len(present.intersection(rule.voters(partition))) < rule.needed
        }
        if short:
            gaps.append(Gap(namespace, len(short), topology.partitions))
        for token in tokens:
            partition = placement.partition(token)
            sound = {numbers[part.node] for part in speaking if token not in part.unread}
            if partition not in short and (
                len(sound.intersection(rule.voters(partition))) < rule.needed
            ):
                damaged.add(token)
    given = {part.node for part in known}
    whole = {part.node for part in speaking}
    return Coverage(
        tuple(name for name in numbers if name not in given),
        tuple(name for name in numbers if name in given - whole),
        tuple(gaps),
        len(damaged),
    )


def _rule(topology: Topology, placement: Placement, namespace: str) -> _Rule | None:
    """None for a namespace that lives in memory, and so is in no snapshot."""
    everybody = topology.numbers
    settings = topology.namespaces.get(namespace)
    if settings is None:
        return _Rule(lambda _: everybody, len(everybody))
    if settings.durability == "none":
        return None
    if settings.quorum == "sloppy":
        return _Rule(lambda _: everybody, len(everybody) - settings.write + 1)
    rule = settings.rule
    needed = rule.copies - settings.write + 1
    return _Rule(lambda partition: placement.owners(partition, rule), needed)
