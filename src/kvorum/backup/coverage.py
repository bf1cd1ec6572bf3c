"""Coverage: whether the snapshots of some nodes contain every acknowledged write.

A write is acknowledged once W of the N owners of its partition have it. At most N - W owners lack
it, so any N - W + 1 of them include one that has it. Under a sloppy quorum any nodes may have stood
in for owners, so all nodes count in their place. If the catalog no longer had the namespace, its W
is unknown, and all nodes are needed.

A snapshot does not count for tokens whose records were damaged or unverified when it was made. It
counts for none at all if its node had lost its data and not yet recovered.

(D. K. Gifford, "Weighted Voting for Replicated Data", 1979.)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec

from kvorum.model.placement import Placement
from kvorum.model.topology import Topology


class Part(NamedTuple):
    """One snapshot. `whole`: its node had lost nothing. `unread`: tokens it could not read."""

    node: str
    topology: Topology
    whole: bool
    unread: frozenset[bytes] = frozenset()


class Gap(msgspec.Struct, frozen=True):
    """How many partitions of a namespace may lack acknowledged writes, of how many in `total`."""

    namespace: str
    partitions: int
    total: int


class Coverage(msgspec.Struct, frozen=True):
    """What may be missing. `missing`: nodes without a snapshot. `forgetful`: nodes that had lost
    their data. `damaged`: how many tokens of other partitions may lack acknowledged writes.
    """

    missing: tuple[str, ...]
    forgetful: tuple[str, ...]
    gaps: tuple[Gap, ...]
    damaged: int

    @property
    def complete(self) -> bool:
        """True if every acknowledged write is in some snapshot."""
        return not self.gaps and not self.damaged


class _Rule(NamedTuple):
    """Snapshots of at least `needed` of the nodes `voters(partition)` are required."""

    voters: Callable[[int], Collection[int]]
    needed: int


def coverage(parts: Sequence[Part], namespaces: Collection[str]) -> Coverage:
    """The coverage of `namespaces` by the snapshots `parts`, under each of their topologies."""
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
    """True if both have the same owners of partitions and the same write quorums."""
    return one.fingerprint() == other.fingerprint() and one.namespaces == other.namespaces


def _under(topology: Topology, parts: Sequence[Part], namespaces: Collection[str]) -> Coverage:
    placement = Placement(topology)
    numbers = {spec.name: spec.number for spec in topology.nodes}
    known = [part for part in parts if part.node in numbers]
    counted = [part for part in known if part.whole]
    tokens = frozenset().union(*(part.unread for part in counted))
    gaps, damaged = [], set()
    for namespace in namespaces:
        rule = _rule(topology, placement, namespace)
        if rule is None:
            continue
        present = {numbers[part.node] for part in counted}
        short = {
            partition
            for partition in range(topology.partitions)
            if len(present.intersection(rule.voters(partition))) < rule.needed
        }
        if short:
            gaps.append(Gap(namespace, len(short), topology.partitions))
        for token in tokens:
            partition = placement.partition(token)
            sound = {numbers[part.node] for part in counted if token not in part.unread}
            if partition not in short and (
                len(sound.intersection(rule.voters(partition))) < rule.needed
            ):
                damaged.add(token)
    given = {part.node for part in known}
    whole = {part.node for part in counted}
    return Coverage(
        tuple(name for name in numbers if name not in given),
        tuple(name for name in numbers if name in given - whole),
        tuple(gaps),
        len(damaged),
    )


def _rule(topology: Topology, placement: Placement, namespace: str) -> _Rule | None:
    """None for a namespace that is kept in memory, and so is in no snapshot."""
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
