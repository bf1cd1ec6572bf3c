"""Runs that insist on something, and runs on sealed disks."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from story import Story

from kvorum.journal.segment import SegmentLimits
from kvorum.model.topology import NamespaceSettings
from kvorum.sim.checkers import nothing_back, unhindered
from kvorum.sim.draw import draw
from kvorum.sim.parameters import ROTATE, Mix, Parameters
from kvorum.sim.run import simulate
from kvorum.sim.stories import STORIES
from kvorum.sim.swarm import draw_swarm

SEALED = Parameters(
    seed=1,
    nodes=3,
    replicas=3,
    read=2,
    write=2,
    operations=100,
    mix=Mix(delete=0.5),
    sync_s_mean=(0.002,) * 3,
    fault_rates={ROTATE: 20.0, "crash": 5.0, "damage": 100.0},
    segments=SegmentLimits(300, 300, 0.02),
    others={"open": NamespaceSettings(replicas=3, read=2, write=2, encryption="off")},
    sealed=True,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_a_cluster_keeps_its_promises_in_each_story(story: object) -> None:
    assert callable(story)
    for seed in range(2):
        told = story(random.Random(seed), draw_swarm(seed))
        assert simulate(told).violations == []


def test_a_sealed_store_keeps_them_while_keys_change_and_bytes_are_damaged() -> None:
    report = simulate(SEALED)
    assert report.violations == []
    assert report.faults[ROTATE] > 0
    assert report.faults["damage"] > 0


def test_the_keys_of_a_sealed_run_are_random_and_the_run_is_the_same() -> None:
    calm = replace(SEALED, fault_rates={ROTATE: 20.0, "crash": 20.0})
    assert simulate(calm).trace == simulate(calm).trace


def test_seeds_draw_sealed_disks_volatile_namespaces_and_several_of_them() -> None:
    drawn = [draw(seed) for seed in range(100)]
    assert any(p.sealed for p in drawn)
    assert any(len(p.others) > 1 for p in drawn)
    assert any(s.durability == "none" for p in drawn for s in p.others.values())


def test_what_was_shredded_may_be_nowhere() -> None:
    assert nothing_back({"a": {0: (), 1: ()}}) == []
    (found,) = nothing_back({"a": {0: (), 1: (b"old",)}})
    assert "n1 holds [#old] of a" in found.message


def test_full_disks_hinder_neither_reads_nor_blind_deletes() -> None:
    story = Story()
    story.refuse(story.delete(0, 1), "not_found")
    story.refuse(story.put(2, 3), "disk_full")
    assert unhindered(story.history) == []
    story.refuse(story.delete(4, 5), "quorum_not_met")
    (found,) = unhindered(story.history)
    assert "needs no room" in found.message
