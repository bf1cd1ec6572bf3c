from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.assignment import BoundedShares

Move = tuple[int, int, int]


class Shares:
    """Four nodes with a limit of one each; `allowed` are the moves that may be made."""

    def __init__(self, allowed: set[Move], fair: tuple[float, ...] = (0.9, 0.9, 0.9, 0.9)) -> None:
        self.moves: list[Move] = []
        self.shares = BoundedShares(
            fair,
            may_move=lambda *move: move in allowed,
            move=lambda *move: self.moves.append(move),
        )

    def give(self, partition: int, *candidates: int) -> int:
        return self.shares.give(partition, candidates)


def test_the_first_candidate_with_room_is_taken() -> None:
    shares = Shares(set())
    assert shares.give(0, 2, 1) == 2
    assert shares.give(1, 2, 1) == 1
    assert shares.moves == []


def test_a_full_node_hands_over_to_one_with_room() -> None:
    shares = Shares({(0, 2, 3)})
    shares.give(0, 2)
    assert shares.give(1, 2) == 2
    assert shares.moves == [(0, 2, 3)]
    # Node 3 holds partition 0 now, and is full.
    assert shares.give(2, 3, 0) == 0


def test_full_nodes_hand_over_in_a_chain() -> None:
    shares = Shares({(0, 0, 1), (1, 1, 2), (2, 2, 3)})
    for node in (0, 1, 2):
        shares.give(node, node)
    assert shares.give(9, 0) == 0
    assert shares.moves == [(0, 0, 1), (1, 1, 2), (2, 2, 3)]


def test_the_shortest_chain_is_taken() -> None:
    shares = Shares({(0, 0, 1), (1, 1, 3), (2, 2, 3)})
    for node in (0, 1, 2):
        shares.give(node, node)
    assert shares.give(9, 0, 2) == 2
    assert shares.moves == [(2, 2, 3)]


def test_a_chain_moves_no_partition_twice() -> None:
    # Whether the second move of partition 0 is allowed after the first one nobody has asked.
    shares = Shares({(0, 0, 1), (1, 1, 2), (0, 2, 3)})
    shares.give(0, 0)
    shares.give(1, 1)
    shares.give(0, 2)
    assert shares.give(9, 0) == 0
    assert shares.moves == []


def test_without_a_chain_the_least_full_goes_over() -> None:
    shares = Shares(set(), fair=(0.9, 1.9))
    for partition in range(3):
        shares.give(partition, 0, 1)
    assert [shares.give(partition, 0, 1) for partition in (3, 4, 5)] == [0, 1, 1]


@given(st.lists(st.floats(0.001, 20), min_size=1, max_size=6), st.integers(0, 40))
def test_where_all_may_move_nobody_goes_over_while_there_is_room(
    fair: list[float], count: int
) -> None:
    given_to = [0] * len(fair)

    def moved(_partition: int, giver: int, taker: int) -> None:
        given_to[giver] -= 1
        given_to[taker] += 1

    shares = BoundedShares(fair, lambda *_move: True, moved)
    limits = [max(1, -int(-(share * 1.05 - 1e-6) // 1)) for share in fair]
    for partition in range(min(count, sum(limits))):
        given_to[shares.give(partition, [0])] += 1
    assert all(held <= limit for held, limit in zip(given_to, limits, strict=True))
