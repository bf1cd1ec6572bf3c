"""Messages that no honest peer sends: refused and counted, never an exception, no harm done."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from membership_world import World

from kvorum.cluster.roster import AHEAD_MS_MAX
from kvorum.wire.messages import (
    GossipDelta,
    GossipDigest,
    Message,
    Ping,
    PingReport,
    PingRequest,
    Pong,
)

NODES = 4

numbers = st.one_of(st.integers(-2, 6), st.integers(-(1 << 63), (1 << 64) - 1))
lists = st.lists(numbers, max_size=9)
lies: st.SearchStrategy[Message] = st.one_of(
    st.builds(GossipDigest, st.lists(st.tuples(numbers, numbers, numbers), max_size=9), lists),
    st.builds(
        GossipDelta, st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=9), lists
    ),
    st.builds(Ping, numbers, numbers),
    st.builds(Pong, numbers, numbers),
    st.builds(PingRequest, numbers, numbers),
    st.builds(PingReport, numbers),
)


def started() -> World:
    world = World(NODES)
    world.start_all()
    world.run_for(5)
    return world


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-1, NODES), lies), max_size=12))
def test_whatever_one_node_is_told_the_others_stay_up(told: list[tuple[int, Message]]) -> None:
    world = started()
    for sender, lie in told:
        world[0].handlers[type(lie)](sender, lie)
        world.run_for(0.2)
    world.run_for(10)
    assert all(world.all_see(node, available=True) for node in range(NODES))
    assert world.changes == []


@pytest.mark.parametrize(
    ("sender", "lie"),
    [
        (-1, Ping(1, 1)),
        (0, Ping(1, 1)),
        (NODES, GossipDigest([], [])),
        (1, Pong(1, NODES)),
        (1, PingRequest(1, NODES)),
        (1, PingRequest(1, 0)),
        (1, GossipDigest([(NODES, 1, 1)], [])),
        (1, GossipDigest([], [NODES])),
        (1, GossipDelta([], [NODES])),
    ],
    ids=str,
)
def test_what_cannot_be_is_counted(sender: int, lie: Message) -> None:
    world = started()
    world[0].handlers[type(lie)](sender, lie)
    assert world[0].counters.refused == 1


def test_the_victim_of_an_invented_generation_outranks_it() -> None:
    world = started()
    invented = world.lives[0].runtime.wall_ms() + AHEAD_MS_MAX // 2
    world[0].handlers[GossipDelta](3, GossipDelta([(2, invented, 1000, 0)], []))
    assert world.view(0, 2).generation == invented
    world.run_until(lambda: world.view(0, 2).generation > invented, 10)
    world.run_for(20)
    assert world.changes == []


def test_a_delta_is_answered_with_no_more_than_the_list() -> None:
    world = started()
    world.sent.clear()
    world[0].handlers[GossipDelta](1, GossipDelta([], [2] * 100_000))
    assert world.sent.total() == 1
    assert world[0].counters.refused == 100_000 - NODES
