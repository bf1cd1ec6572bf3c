"""Assignment: every partition's owners, by consistent hashing with bounded loads.

Partition by partition, in order, the ring is walked clockwise from where the partition
starts. A copy goes to the first node met that

    is where the next copy may go       spread over hosts, racks and dcs: `domains.py`
    is not at its bounded share yet     its fair share and 5% over, in whole partitions

(V. Mirrokni, M. Thorup, M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2018).

Where copies must stay apart and weights differ, the last partitions may meet only full
nodes. Then one of these hands an earlier partition over to a node with room, if need be
through a chain of nodes: the augmenting path of L. Ford and D. Fulkerson, found breadth
first. Only where there is no such path does spread beat balance, and the least full node
goes over its bound.

The first owner coordinates its partition's blind writes, so to be first owner is a bounded share,
too, with each node's part by weight: the first is the owner met first that has room for it.

A low bound has a price. More nodes are at their bound, and when their fair share shrinks
they hand over partitions, and not only to the node that came.
`tests/model/test_placement.py` states the figures.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from kvorum.model.domains import FaultDomains

BOUND: Final = 1.05

# Fair shares are floating point: this keeps one that is whole from being rounded up.
_TOLERANCE: Final = 1e-6

Owners = tuple[int, ...]


class BoundedShares:
    """Which partitions each node holds, where none should hold more than a bounded share.

    `may_move(partition, giver, taker)` says what may be handed over, `move` is told of it.
    """

    def __init__(
        self,
        fair: Sequence[float],
        may_move: Callable[[int, int, int], bool],
        move: Callable[[int, int, int], None],
    ) -> None:
        self._held: list[list[int]] = [[] for _ in fair]
        self._limits = [max(1, math.ceil(BOUND * share - _TOLERANCE)) for share in fair]
        self._may_move = may_move
        self._move = move

    def give(self, partition: int, candidates: Iterable[int]) -> int:
        """Have one of `candidates` hold `partition`: the first with room, or that can get it."""
        full = []
        for node in candidates:
            if self._has_room(node):
                break
            full.append(node)
        else:
            node = self._make_room(full)
        self._held[node].append(partition)
        return node

    def _has_room(self, node: int) -> bool:
        return len(self._held[node]) < self._limits[node]

    def _make_room(self, full: list[int]) -> int:
        """Free one of the nodes `full` by the shortest chain; else, the least full of them."""
        # For each node reached: the chain of (partition, giver, taker) that would fill it.
        chains: dict[int, list[tuple[int, int, int]]] = {node: [] for node in full}
        queue = deque(full)
        while queue:
            giver = queue.popleft()
            for taker in range(len(self._held)):
                if taker in chains:
                    continue
                chain = self._extended(chains[giver], giver, taker)
                if chain and self._has_room(taker):
                    self._hand_over(chain)
                    return chain[0][1]
                if chain:
                    chains[taker] = chain
                    queue.append(taker)
        return min(full, key=lambda node: len(self._held[node]) / self._limits[node])

    def _extended(
        self, chain: list[tuple[int, int, int]], giver: int, taker: int
    ) -> list[tuple[int, int, int]]:
        """`chain` and a move from `giver` to `taker`; empty if there is none."""
        for partition in self._held[giver]:
            # What may move was judged by how things are, so a chain moves a partition once.
            in_chain = any(partition == moved for moved, _, _ in chain)
            if not in_chain and self._may_move(partition, giver, taker):
                return [*chain, (partition, giver, taker)]
        return []

    def _hand_over(self, chain: list[tuple[int, int, int]]) -> None:
        for partition, giver, taker in chain:
            self._held[giver].remove(partition)
            self._held[taker].append(partition)
            self._move(partition, giver, taker)


class Walk:
    """A walk of the ring that can be repeated from its start, and goes no further than needed."""

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
    domains: FaultDomains,
    fair_owned: Sequence[float],
    fair_led: Sequence[float],
) -> list[Owners]:
    """The owners of each partition, in preference order; one walk a partition."""
    owners = _choose_owners(walks, domains, fair_owned)
    first_owners = _choose_first_owners(owners, fair_led)
    return [
        (first, *(node for node in nodes if node != first))
        for first, nodes in zip(first_owners, owners, strict=True)
    ]


def _choose_owners(
    walks: Iterable[Iterator[int]], domains: FaultDomains, fair: Sequence[float]
) -> list[list[int]]:
    owners: list[list[int]] = []

    def may_move(partition: int, giver: int, taker: int) -> bool:
        nodes = owners[partition]
        return len(nodes) == domains.copies and domains.may_replace(nodes, giver, taker)

    def move(partition: int, giver: int, taker: int) -> None:
        nodes = owners[partition]
        nodes[nodes.index(giver)] = taker

    shares = BoundedShares(fair, may_move, move)
    for partition, clockwise in enumerate(walks):
        walk = Walk(clockwise)
        nodes: list[int] = []
        owners.append(nodes)
        while len(nodes) < domains.copies:
            fitting = (node for node in walk if domains.may_add(nodes, node))
            nodes.append(shares.give(partition, fitting))
    return owners


def _choose_first_owners(owners: list[list[int]], fair: Sequence[float]) -> list[int]:
    first_owners: list[int] = []

    def may_move(partition: int, _giver: int, taker: int) -> bool:
        return taker in owners[partition]

    def move(partition: int, _giver: int, taker: int) -> None:
        first_owners[partition] = taker

    shares = BoundedShares(fair, may_move, move)
    for partition, nodes in enumerate(owners):
        first_owners.append(shares.give(partition, nodes))
    return first_owners
