"""Who is gossiped with: a few that are up, seeds, and sometimes one thought down."""

from __future__ import annotations

import random

import pytest

from kvorum.cluster.partners import partners, seeds


@pytest.mark.parametrize(
    ("nodes", "local", "wanted"), [(1, 0, []), (2, 0, [1]), (9, 1, [0, 2]), (9, 7, [0, 1, 2])]
)
def test_seeds_are_the_first_nodes_without_oneself(
    nodes: int, local: int, wanted: list[int]
) -> None:
    assert seeds(range(nodes), local) == wanted


def test_partners_are_a_few_of_those_that_are_up() -> None:
    rng = random.Random(1)
    for _ in range(100):
        chosen = partners(rng, range(10), [], 3)
        assert len(set(chosen)) == 3
        assert set(chosen) <= set(range(10))
    assert sorted(partners(rng, [4, 5], [], 3)) == [4, 5]


def test_alone_a_node_always_tries_one_that_is_down() -> None:
    rng = random.Random(1)
    assert all(partners(rng, [], [3, 4], 3)[0] in (3, 4) for _ in range(100))


def test_one_node_down_of_many_is_tried_now_and_then() -> None:
    rng = random.Random(1)
    tried = sum(99 in partners(rng, range(9), [99], 3) for _ in range(1000))
    assert 50 < tried < 200
