"""Assignment: every partition's owners, by consistent hashing with bounded loads.

Partition by partition, in order, the ring is walked clockwise from where the partition
starts. A copy goes to the first node met that

    is where the next copy may go      spread over hosts, racks and dcs: `domains.py`
    is not at its bounded share yet    its fair share and 5% over, in whole partitions

(V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018).
Spread beats balance: where only full nodes would keep copies apart, the least full is taken.

The first owner coordinates its partition's blind writes, so the lead is a bounded share
too: it goes to the owner met first that is not at its part, by weight, of all leads. The
other owners keep the order of the walk.

The bound is what a change of the topology costs besides the least. A lower one means more
nodes at their bound, each of which hands over partitions when its fair share shrinks, and
not only to the node that came. `tests/model/test_placement.py` states the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from kvorum.model.domains import FaultDomains, Step

BOUND: Final = 1.05

# Fair shares are floating point: this keeps one that is whole from being rounded up.
_TOLERANCE: Final = 1e-6

Owners = tuple[int, ...]


class BoundedShares:
    """How much each node has been given of something, and its limit."""

    __slots__ = ("_given", "_limits")

    def __init__(self, fair: Sequence[float]) -> None:
        self._given = [0] * len(fair)
        self._limits = [max(1, math.ceil(BOUND * share - _TOLERANCE)) for share in fair]

    def give(self, candidates: Iterable[int]) -> int:
        """Give one to the first candidate below its limit, or else to the least full."""
        passed = []
        for node in candidates:
            if self._given[node] < self._limits[node]:
                break
            passed.append(node)
        else:
            node = min(passed, key=self._fullness)
        self._given[node] += 1
        return node

    def _fullness(self, node: int) -> float:
        return self._given[node] / self._limits[node]


class Copies:
    """The nodes chosen so far for one partition, and the domains they are in."""

    __slots__ = ("_dcs", "_domains", "_hosts", "_racks", "nodes")

    def __init__(self, domains: FaultDomains) -> None:
        self._domains = domains
        self._hosts: list[int] = []
        self._racks: list[int] = []
        self._dcs: list[int] = []
        self.nodes: list[int] = []

    def add(self, node: int) -> None:
        self._hosts.append(self._domains.host[node])
        self._racks.append(self._domains.rack[node])
        self._dcs.append(self._domains.dc[node])
        self.nodes.append(node)

    def may_take(self, node: int, step: Step) -> bool:
        domains = self._domains
        return (
            self._hosts.count(domains.host[node]) == step.host
            and self._racks.count(domains.rack[node]) == step.rack
            and self._dcs.count(domains.dc[node]) == step.dc
            and node not in self.nodes
        )


class Walk:
    """A walk of the ring that can be begun again, and goes no further than it must."""

    __slots__ = ("_ahead", "_met")

    def __init__(self, nodes: Iterator[int]) -> None:
        self._ahead = nodes
        self._met: list[int] = []

    def __iter__(self) -> Iterator[int]:
        yield from self._met
        for node in self._ahead:
            self._met.append(node)
            yield node


def assign(
    walks: Iterable[Iterator[int]],
    steps: list[Step],
    domains: FaultDomains,
    fair_owned: Sequence[float],
    fair_led: Sequence[float],
) -> list[Owners]:
    """The owners of each partition, in preference order; one walk a partition."""
    owned, led = BoundedShares(fair_owned), BoundedShares(fair_led)
    assigned = []
    for walk in walks:
        owners = _spread(Walk(walk), steps, domains, owned)
        leader = led.give(owners)
        assigned.append((leader, *(node for node in owners if node != leader)))
    return assigned


def _spread(
    walk: Walk, steps: list[Step], domains: FaultDomains, owned: BoundedShares
) -> list[int]:
    copies = Copies(domains)
    for step in steps:
        copies.add(owned.give(node for node in walk if copies.may_take(node, step)))
    return copies.nodes
