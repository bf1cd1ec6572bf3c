from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.topologies import cluster, even_cluster, node

from kvorum.model.keys import TOKEN_HASHES
from kvorum.model.ring import TOKENS_MAX, Ring, token_counts
from kvorum.model.topology import NODES_MAX, WEIGHT_MAX, WEIGHT_MIN, Topology

CIRCLE = 1 << 128
STARTS = st.integers(0, CIRCLE - 1)
WEIGHTS = st.sampled_from([WEIGHT_MIN, 0.5, 1.0, 1.5, 3.0])


@st.composite
def weighted(draw: st.DrawFn) -> Topology:
    weights = draw(st.lists(WEIGHTS, min_size=1, max_size=8))
    nodes = [node(i, weight=weight) for i, weight in enumerate(weights)]
    return cluster(nodes, token_seed=draw(st.integers(0, 3)))


def tokens_by_name(topology: Topology) -> dict[str, set[int]]:
    ring = Ring(topology)
    found: dict[str, set[int]] = {spec.name: set() for spec in topology.nodes}
    for token, index in zip(ring.tokens, ring.nodes, strict=True):
        found[topology.nodes[index].name].add(token)
    return found


def dumb_walk(topology: Topology, start: int) -> list[str]:
    """All names by the distance from `start` to the nearest of their tokens ahead."""
    distances = {
        name: min((token - start) % CIRCLE for token in tokens)
        for name, tokens in tokens_by_name(topology).items()
    }
    return sorted(distances, key=lambda name: distances[name])


@given(weighted(), STARTS)
def test_a_walk_meets_every_node_once_nearest_first(topology: Topology, start: int) -> None:
    met = [topology.nodes[index].name for index in Ring(topology).clockwise(start)]
    assert met == dumb_walk(topology, start)


@given(weighted(), st.data())
def test_a_walk_that_starts_on_a_token_meets_its_node_first(
    topology: Topology, data: st.DataObject
) -> None:
    ring = Ring(topology)
    position = data.draw(st.integers(0, len(ring.tokens) - 1))
    assert next(ring.clockwise(ring.tokens[position])) == ring.nodes[position]


@given(weighted())
def test_tokens_are_hashes_of_the_nodes_name(topology: Topology) -> None:
    counts = dict(
        zip(
            [spec.name for spec in topology.nodes],
            token_counts([spec.weight for spec in topology.nodes]),
            strict=True,
        )
    )
    murmur3 = TOKEN_HASHES["murmur3"]
    assert tokens_by_name(topology) == {
        name: {
            int.from_bytes(murmur3(f"{name}:{i}".encode(), topology.token_seed), "big")
            for i in range(count)
        }
        for name, count in counts.items()
    }


@given(weighted(), WEIGHTS)
def test_a_node_that_joins_moves_no_token(topology: Topology, weight: float) -> None:
    count = len(topology.nodes)
    newcomer = node(count, weight=weight, number=count)
    joined = cluster([*topology.nodes, newcomer], token_seed=topology.token_seed)
    before, after = tokens_by_name(topology), tokens_by_name(joined)
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("weights", "counts"),
    [
        ([1.0, 1.0], [64, 64]),
        ([0.5, 2.0, 1.5], [32, 128, 96]),
        ([WEIGHT_MIN], [1]),
        ([1000.0, 1000.0, 1000.0], [16_000, 16_000, 16_000]),
    ],
)
def test_token_counts_are_in_proportion_to_weight(weights: list[float], counts: list[int]) -> None:
    assert token_counts(weights) == counts


@given(st.lists(st.floats(WEIGHT_MIN, WEIGHT_MAX), min_size=1, max_size=NODES_MAX))
def test_token_counts_are_bounded_and_keep_proportion(weights: list[float]) -> None:
    counts = token_counts(weights)
    # Each node has at least one token and each count is rounded: hence the node count.
    assert len(weights) <= sum(counts) <= TOKENS_MAX + len(weights)
    per_weight = 64.0 / 2 ** max(0, math.ceil(math.log2(64 * sum(weights) / TOKENS_MAX)))
    for weight, count in zip(weights, counts, strict=True):
        assert count == 1 or abs(count - per_weight * weight) <= 0.5


def test_seed_and_hash_each_give_another_ring() -> None:
    rings = [
        even_cluster(3, 1),
        even_cluster(3, 1, token_seed=1),
        even_cluster(3, 1, token_hash="md5"),
    ]
    assert len({tuple(Ring(topology).tokens) for topology in rings}) == 3
