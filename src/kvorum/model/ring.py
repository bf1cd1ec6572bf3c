"""The ring: the hash space 0 .. 2^128 as a circle, on which each node has many tokens.

    token i of a node = hash("<name>:<i>")         with the cluster's hash and seed

A node's tokens depend on its own name and weight alone, so a node that joins or leaves
moves no token of another (D. Karger et al., "Consistent Hashing and Random Trees", 1997;
virtual nodes as in G. DeCandia et al., "Dynamo", 2007).

A node of weight w has 64 * w tokens, at least one. Weights may be in any unit (1, or a
disk's gigabytes), so where the cluster would have more than 65,536 tokens in all, the 64 is
halved until it has not. It is halved, not scaled, because then nearly every change of the
topology leaves it alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from math import fsum
from typing import Final

from kvorum.model.keys import TOKEN_HASHES
from kvorum.model.topology import Topology

TOKENS_PER_WEIGHT: Final = 64
TOKENS_MAX: Final = 1 << 16


class Ring:
    """The tokens of all nodes in clockwise order; `nodes[i]` is the node, by index, of the i-th."""

    def __init__(self, topology: Topology) -> None:
        placed = _place_tokens(topology)
        self.tokens = [token for token, _ in placed]
        self.nodes = [node for _, node in placed]
        self._node_count = len(topology.nodes)

    def clockwise(self, start: int) -> Iterator[int]:
        """All nodes, each once, in the order in which a walk from `start` meets them."""
        first = bisect_left(self.tokens, start)
        met: set[int] = set()
        for part in (range(first, len(self.nodes)), range(first)):
            for position in part:
                node = self.nodes[position]
                if node not in met:
                    met.add(node)
                    yield node
                    if len(met) == self._node_count:
                        return


def token_counts(weights: list[float]) -> list[int]:
    """How many tokens nodes of these weights have."""
    per_weight: float = TOKENS_PER_WEIGHT
    while per_weight * fsum(weights) > TOKENS_MAX:
        per_weight /= 2
    return [max(1, round(per_weight * weight)) for weight in weights]


def _place_tokens(topology: Topology) -> list[tuple[int, int]]:
    token_hash, seed = TOKEN_HASHES[topology.token_hash], topology.token_seed
    counts = token_counts([node.weight for node in topology.nodes])
    return sorted(
        (int.from_bytes(token_hash(f"{spec.name}:{i}".encode(), seed), "big"), node)
        for node, (spec, count) in enumerate(zip(topology.nodes, counts, strict=True))
        for i in range(count)
    )
