"""What membership promises, on simulated networks that lose, delay, part and heal."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest
from membership_rounds import measure
from membership_world import World

from kvorum.cluster.settings import MembershipSettings
from kvorum.wire.messages import GossipDelta, GossipDigest, Message, Ping, PingReport, PingRequest

HOUR_MS = 3_600_000
DETECTION_S = 5.0
HEALED_S = 5.0
"""From the end of the last fault until nobody holds anybody suspect that lives."""
LINK_S = 3.0
"""Of these, what it may take until a link that was cut carries messages again
(`links/reconnect.py`).
"""


def started(nodes: int, seed: int = 0, *, loss: float = 0.0, jitter_s: float = 0.0) -> World:
    world = World(nodes, seed, loss=loss, jitter_s=jitter_s)
    world.start_all()
    world.run_for(30)
    assert world.changes == []
    return world


def all_up(world: World) -> bool:
    return all(world.all_see(node, available=True) for node in world.lives)


@pytest.mark.parametrize("nodes", [2, 3, 5, 10, 30])
def test_a_killed_node_is_suspected_by_all_within_5_s_and_nobody_else_ever(nodes: int) -> None:
    for seed in range(5 if nodes <= 10 else 1):
        world = started(nodes, seed)
        world.kill(nodes - 1)
        world.run_until(lambda w=world: w.all_see(nodes - 1, available=False), DETECTION_S)  # type: ignore[misc]
        world.run_for(10)
        assert {world.view(node, nodes - 1).state for node in world.lives} == {"down"}
        assert [change[1:] for change in sorted(world.changes, key=lambda c: c[1])] == [
            (observer, nodes - 1, False) for observer in range(nodes - 1)
        ]


@pytest.mark.parametrize(("nodes", "seed"), [(2, 1), (3, 2), (5, 3), (10, 4)])
def test_10_minutes_of_loss_and_jitter_raise_no_false_suspicion(nodes: int, seed: int) -> None:
    world = started(nodes, seed, loss=0.02, jitter_s=0.2)
    world.run_for(600)
    assert world.changes == []
    assert world[0].counters.suspicions == 0
    assert world[0].counters.refused == 0


def test_a_killed_node_is_suspected_within_5_s_despite_loss_and_jitter() -> None:
    for seed in range(10):
        world = started(3, seed, loss=0.02, jitter_s=0.2)
        world.kill(1)
        world.run_until(lambda w=world: w.all_see(1, available=False), DETECTION_S)  # type: ignore[misc]


def test_rounds_grow_with_the_logarithm_of_the_nodes() -> None:
    for nodes in (3, 10, 40):
        rounds = measure(World(nodes, seed=nodes))
        assert rounds.birth <= 2 + math.log2(nodes)
        assert rounds.death <= DETECTION_S
        assert rounds.death - rounds.suspicion <= 1 + math.log2(nodes)


def test_a_node_gossips_no_more_in_a_larger_cluster_and_probes_few() -> None:
    for nodes in (10, 40):
        world = started(nodes)
        gossip = world.sent[GossipDigest] + world.sent[GossipDelta]
        assert gossip / nodes / world.now < 11
        assert world.sent[Ping] / nodes / world.now < nodes / 20


@pytest.mark.parametrize("clock_offset_ms", [0, -HOUR_MS, -300 * 24 * HOUR_MS])
def test_a_restarted_node_is_up_soon_whatever_its_clock_shows(clock_offset_ms: int) -> None:
    world = started(5)
    world.kill(2)
    world.run_for(10)
    former = world.view(0, 2)
    world.start(2, clock_offset_ms)
    world.run_until(lambda: all_up(world), 5)
    world.run_until(
        lambda: all(world.view(n, 2).generation > former.generation for n in world.lives), 5
    )
    assert world.view(0, 2).last_active_ms > 0


def test_a_quick_restart_is_a_new_life_but_no_outage() -> None:
    world = started(5)
    former = world.view(0, 2)
    world.kill(2)
    world.run_for(0.5)
    world.start(2)
    world.run_for(20)
    assert world.changes == []
    assert world.view(0, 2).generation > former.generation


def test_after_a_partition_both_sides_find_each_other() -> None:
    world = started(7)
    sides = {0, 1, 2}, {3, 4, 5, 6}
    world.partition(*sides)
    world.run_for(60)
    for a, b in itertools.permutations(range(7), 2):
        together = any({a, b} <= side for side in sides)
        assert world[a].is_available(b) == together
    world.partition(set(range(7)))
    world.run_until(lambda: all_up(world), 15)


def test_groups_that_started_apart_find_each_other() -> None:
    world = World(8)
    world.partition({0, 1, 2, 3}, {4, 5, 6, 7})
    world.start_all()
    world.run_for(60)
    assert world.view(4, 0).generation == 0
    world.partition(set(range(8)))
    world.run_until(lambda: all_up(world), 15)


@pytest.mark.parametrize("cut", [{(0, 1)}, {(0, 1), (1, 0)}], ids=["one-way", "both-ways"])
def test_a_cut_between_two_nodes_alone_makes_nobody_suspect(cut: set[tuple[int, int]]) -> None:
    world = started(5)
    world.cut = cut
    world.run_for(120)
    assert world.changes == []


def test_helpers_reach_what_the_asker_cannot() -> None:
    def is_gossip_to_0(sender: int, receiver: int, message: Message) -> bool:
        return receiver == 0 and isinstance(message, GossipDigest | GossipDelta)

    world = started(3)
    # What node 0 learns of node 1 now, it learns by having node 2 ping it.
    world.cut = {(0, 1), (1, 0)}
    world.drops = is_gossip_to_0
    # So slow that phi is beyond the threshold before the helper's report is there.
    world.delay_s = 0.15
    world.run_for(120)
    assert world.changes == []
    world.cut |= {(2, 1)}
    world.run_until(lambda: not world[0].is_available(1), DETECTION_S)


def test_a_node_that_hears_but_is_not_heard_is_down_for_all_and_learns_who_thinks_so() -> None:
    world = started(4)
    world.cut = {(3, other) for other in range(3)}
    world.run_until(lambda: world.all_see(3, available=False), DETECTION_S)
    world.run_until(lambda: world.view(3, 3).dissenters == [0, 1, 2], 30)
    assert {member for _, observer, member, _ in world.changes if observer != 3} == {3}
    world.cut = set()
    world.run_until(lambda: all_up(world), 15)
    world.run_until(lambda: world.view(3, 3).dissenters == [], 15)


def test_a_node_that_was_paused_suspects_nobody_when_it_wakes_up() -> None:
    world = started(5)
    world.pause(2, 20)
    world.cut = {(other, 2) for other in range(5)}
    world.run_for(19.99)
    assert world.all_see(2, available=False)
    probes = world[2].counters.probes
    world.cut = set()
    world.run_for(0.5)
    assert world[2].counters.probes - probes <= 1
    world.run_until(lambda: all_up(world), 6)
    assert {member for _, _, member, _ in world.changes} == {2}


def test_jumping_clocks_disturb_nobody() -> None:
    world = started(4)
    for offset_ms in (5 * HOUR_MS, -48 * HOUR_MS, 0):
        world.lives[1].runtime.clock_offset_ms = offset_ms
        world.run_for(20)
    assert world.changes == []
    assert world[0].counters.refused == 0


def test_a_node_that_comes_only_to_go_again_is_soon_not_taken_for_up() -> None:
    world = started(3)
    for _ in range(12):
        world.kill(2)
        world.run_for(8)
        world.start(2)
        world.run_for(0.9)
    returns = [at for at, observer, _, available in world.changes if observer == 0 and available]
    assert 1 <= len(returns) <= 4
    world.run_until(lambda: all_up(world), HEALED_S - LINK_S)


def test_changes_are_told_once_each_and_alternate() -> None:
    world = started(4)
    for _ in range(2):
        world.kill(1)
        world.run_for(8)
        world.start(1)
        world.run_for(12)
    for observer in (0, 2, 3):
        seen = [available for _, who, member, available in world.changes if who == observer]
        assert seen == [False, True, False, True]


def test_direct_evidence_ends_suspicion_but_is_told_only_later() -> None:
    world = started(3)
    world.kill(2)
    world.run_for(10)
    world.changes.clear()
    world[0].heard(2)
    assert world[0].is_available(2)
    assert world.changes == []
    world.run_for(0)
    assert [change[1:] for change in world.changes] == [(0, 2, True)]


def test_a_node_that_has_stopped_is_silent() -> None:
    world = started(3)
    for node in range(3):
        world[node].stop()
    world.run_for(1)
    world.sent.clear()
    world.run_for(60)
    assert not world.sent
    assert world.changes == []


def test_a_node_alone_is_content() -> None:
    world = started(1)
    assert not world.sent
    assert world[0].is_available(0)
    assert [view.state for view in world[0].view()] == ["up"]


def test_the_view_tells_since_when_and_how_suspicious() -> None:
    world = started(3)
    world.kill(2)
    world.run_for(30)
    view = world.view(0, 2)
    runtime = world.lives[0].runtime
    assert view.state == "down"
    assert view.phi > 8
    assert runtime.wall_ms() - 30_000 < view.since_ms < runtime.wall_ms() - 20_000
    assert runtime.wall_ms() - 32_000 < view.last_active_ms <= runtime.wall_ms() - 30_000
    assert view.dissenters == []
    assert world.view(0, 1).phi < 8


def test_indirect_probes_are_asked_for_before_a_suspicion() -> None:
    world = started(5)
    world.kill(4)
    world.sent.clear()
    world.run_until(lambda: bool(world.changes), DETECTION_S)
    assert world.sent[Ping] >= 2
    assert world.sent[PingRequest] >= 3


def test_gossip_settles_a_probe_so_that_the_next_silence_is_probed_anew() -> None:
    world = started(3)
    world.cut = {(0, 1), (1, 0)}
    for _ in range(3):
        world.drops = lambda _, receiver, message: receiver == 0 and not isinstance(message, Ping)
        probes = world[0].counters.probes
        # Long enough to probe both others, too short to conclude.
        world.run_until(lambda p=probes: world[0].counters.probes >= p + 2, 5)  # type: ignore[misc]
        assert world.changes == []
        # No helper may settle it.
        world.drops = lambda _, receiver, message: isinstance(message, PingReport)
        world.run_for(10)


def test_the_threshold_decides_how_long_a_failed_probe_waits_for_its_verdict() -> None:
    taken = []
    for threshold in (8.0, 30.0, 90.0):
        world = World(2, settings=MembershipSettings(phi_threshold=threshold))
        world.start_all()
        world.run_for(30)
        world.kill(1)
        taken.append(world.run_until(lambda w=world: w.all_see(1, available=False), 20))  # type: ignore[misc]
    assert taken == sorted(taken)
    assert taken[2] > taken[0] + 1


def test_rounds_go_to_seeds_as_often_as_the_setting_says() -> None:
    shares = []
    for seed_chance in (0.0, 1.0):
        received: Counter[int] = Counter()

        def count(_: int, to: int, message: Message, received: Counter[int] = received) -> bool:
            received[to] += isinstance(message, GossipDigest)
            return False

        world = World(12, settings=MembershipSettings(fanout=1, seed_chance=seed_chance))
        world.drops = count
        world.start_all()
        world.run_for(60)
        shares.append(sum(received[node] for node in range(3)) / received.total())
    assert shares[0] == pytest.approx(3 / 12, abs=0.08)
    assert shares[1] > 0.5


def test_one_liar_makes_nobody_suspect_who_lives() -> None:
    world = started(5)
    for _ in range(300):
        lives = [(v.node, v.generation, v.heartbeat) for v in world[1].view()]
        world[0].handlers[GossipDigest](4, GossipDigest(lives, [1, 2, 3]))
        world.run_for(0.1)
    assert world.changes == []
    assert world.view(0, 1).dissenters == [4]


@pytest.mark.parametrize("seed", range(25))
def test_5_s_after_the_last_fault_has_ended_nobody_suspects_anybody(seed: int) -> None:
    rng = random.Random(seed)
    nodes = rng.choice((2, 3, 3, 5, 7, 10))
    world = started(nodes, seed, jitter_s=rng.choice((0.0, 0.1)))
    for _ in range(rng.randint(1, 7)):
        duration_s = rng.uniform(1, 30)
        cut = some_paths(rng, nodes)
        world.cut = set(cut)
        if rng.random() < 0.3:
            world.pause(rng.randrange(nodes), duration_s)
        world.run_for(duration_s)
        for sender, receiver in sorted(cut):
            back_s = rng.uniform(0, LINK_S)
            world.scheduler.after(back_s, None, world.cut.discard, (sender, receiver))
        world.run_for(HEALED_S)
        assert all_up(world)
        if rng.random() < 0.5:
            world.run_for(rng.uniform(0, 60))
            assert all_up(world)


def some_paths(rng: random.Random, nodes: int) -> set[tuple[int, int]]:
    """(sender, receiver) of one direction, of one node's, of two sides', or of any at all."""
    pairs = list(itertools.permutations(range(nodes), 2))
    kind = rng.choice(("one way", "deaf", "mute", "alone", "sides", "any"))
    if kind == "any":
        return set(rng.sample(pairs, rng.randint(1, len(pairs))))
    if kind == "one way":
        return {rng.choice(pairs)}
    some = set(rng.sample(range(nodes), 1 if kind != "sides" else rng.randint(1, nodes - 1)))
    leaving = {(a, b) for a, b in pairs if a in some and b not in some}
    entering = {(b, a) for a, b in leaving}
    return {"deaf": entering, "mute": leaving}.get(kind, leaving | entering)
