"""Which clock may be gone by, from what a node has heard of the others'."""

from __future__ import annotations

import random

import pytest
from membership_world import World

from kvorum.cluster.clocks import SKEW_MS, Clocks
from kvorum.sim.scheduler import NodeRuntime, Scheduler

DAY_MS = 86_400_000
FIRST_CONTACT_S = 10.0


class Node:
    """One that has heard of others' clocks, which are `ahead` of its own (ms)."""

    def __init__(self, nodes: int, *ahead: int) -> None:
        self.scheduler = Scheduler(1000)
        self.runtime = NodeRuntime(self.scheduler, random.Random(1), 0)
        self.clocks = Clocks(nodes, self.runtime, FIRST_CONTACT_S)
        for node, by in enumerate(ahead, start=1):
            self.hear(node, by)

    def hear(self, node: int, ahead_ms: int) -> None:
        self.clocks.compare(node, self.runtime.wall_ms() + ahead_ms, self.runtime.now())

    @property
    def state(self) -> str:
        return self.clocks.state

    def wait(self, seconds: float) -> None:
        self.scheduler.run_for(seconds)

    def off_ms(self) -> int:
        """By how much what it judges by is ahead of its own clock."""
        return self.clocks.now_ms() - self.runtime.wall_ms()


@pytest.mark.parametrize(
    ("nodes", "ahead", "state", "off_ms"),
    [
        (1, (), "trusted", 0),
        (2, (), "unconfirmed", 0),
        (2, (SKEW_MS,), "trusted", 0),
        (2, (SKEW_MS + 1,), "disputed", 0),
        (2, (-DAY_MS,), "disputed", 0),
        (3, (), "unconfirmed", 0),
        (3, (5,), "trusted", 0),
        (3, (DAY_MS,), "disputed", 0),
        (3, (0, DAY_MS), "trusted", 0),
        (3, (-2 * DAY_MS, 50 - 2 * DAY_MS), "wrong", 25 - 2 * DAY_MS),
        (3, (-DAY_MS, DAY_MS), "unconfirmed", 0),
        (4, (DAY_MS, 0, 0), "trusted", 0),
        (4, (DAY_MS, DAY_MS, 0), "disputed", 0),
        (4, (DAY_MS, DAY_MS, DAY_MS), "wrong", DAY_MS),
        (5, (DAY_MS, DAY_MS, 0, 0), "trusted", 0),
        (5, (DAY_MS, DAY_MS, DAY_MS, 0), "wrong", DAY_MS),
        (5, (0,), "unconfirmed", 0),
        (5, (DAY_MS, 2 * DAY_MS, 3 * DAY_MS, 4 * DAY_MS), "disputed", 0),
    ],
)
def test_a_majority_decides(nodes: int, ahead: tuple[int, ...], state: str, off_ms: int) -> None:
    node = Node(nodes, *ahead)
    assert node.state == state
    assert node.off_ms() == off_ms
    assert node.clocks.may_remove == (state == "trusted")
    assert node.clocks.may_mint == (state == "trusted" or (state == "unconfirmed" and ahead != ()))


def test_a_jump_of_ones_own_clock_shows_before_anything_more_is_heard() -> None:
    node = Node(3, 0, 0)
    for ahead_ms in (2 * DAY_MS, -node.runtime.wall_ms(), SKEW_MS + 1):
        node.runtime.clock_offset_ms = ahead_ms
        assert (node.clocks.may_remove, node.clocks.may_mint) == (False, False)
        assert node.off_ms() == -ahead_ms
        node.runtime.clock_offset_ms = 0
        assert (node.clocks.may_remove, node.clocks.may_mint) == (True, True)


def test_a_round_trip_leaves_half_of_itself_uncertain() -> None:
    node = Node(2)
    asked_at = node.runtime.now()
    node.wait(1.0)
    node.clocks.compare(1, node.runtime.wall_ms() - 500 + SKEW_MS + 400, asked_at)
    assert node.clocks.ahead_ms() == {1: SKEW_MS + 400}
    assert node.state == "trusted"
    node.clocks.compare(1, node.runtime.wall_ms() - 500 + SKEW_MS + 600, asked_at)
    assert node.state == "disputed"


def test_an_answer_that_was_long_under_way_says_nothing() -> None:
    node = Node(2)
    asked_at = node.runtime.now()
    node.wait(60.0)
    node.clocks.compare(1, node.runtime.wall_ms() - DAY_MS, asked_at)
    node.clocks.compare(1, node.runtime.wall_ms() - DAY_MS, node.runtime.now() + 5)
    assert node.clocks.ahead_ms() == {}


def test_who_is_not_heard_of_again_counts_for_a_while() -> None:
    node = Node(3, 0, 0)
    node.wait(500)
    node.hear(1, 0)
    node.runtime.clock_offset_ms = DAY_MS
    node.clocks.refresh()
    assert node.state == "wrong"
    node.wait(200)
    node.clocks.refresh()
    assert node.state == "disputed"
    node.wait(1000)
    node.clocks.refresh()
    assert node.state == "unconfirmed"


def test_a_node_that_hears_of_nobody_gives_lifetimes_only_once_it_has_waited() -> None:
    node = Node(3)
    assert not node.clocks.may_mint
    node.wait(FIRST_CONTACT_S)
    assert node.clocks.may_mint
    assert not node.clocks.may_remove


def test_an_operator_may_say_that_it_is_right_until_it_jumps() -> None:
    node = Node(2, DAY_MS)
    node.clocks.accept()
    assert node.state == "accepted"
    assert (node.clocks.may_remove, node.clocks.may_mint, node.off_ms()) == (True, True, 0)
    node.runtime.clock_offset_ms = SKEW_MS + 1
    assert node.state == "disputed"
    node.runtime.clock_offset_ms = 0
    assert node.state == "disputed"


@pytest.mark.parametrize("nodes", [2, 3, 5, 12])
def test_gossip_tells_how_far_clocks_are_apart(nodes: int) -> None:
    world = World(nodes, jitter_s=0.2)
    for node in range(nodes):
        world.start(node, clock_offset_ms=700 * node)
    world.run_for(40)
    for node in range(nodes):
        told = world[node].clocks.ahead_ms()
        assert set(told) == set(range(nodes)) - {node}
        for other, ahead_ms in told.items():
            assert abs(ahead_ms - 700 * (other - node)) <= 250
        assert world[node].clocks.state == "trusted"


def test_one_wrong_clock_is_known_to_its_node_and_all_others_go_on() -> None:
    world = World(5)
    world.start_all()
    world.run_for(5)
    world.lives[2].runtime.clock_offset_ms = 2 * DAY_MS
    for seconds in (0, 1, 20):
        world.run_for(seconds)
        states = [world[node].clocks.state for node in range(5)]
        assert states == ["trusted", "trusted", "wrong", "trusted", "trusted"]
    world.lives[2].runtime.clock_offset_ms = 0
    assert world[2].clocks.state == "trusted"
    assert world.changes == []
