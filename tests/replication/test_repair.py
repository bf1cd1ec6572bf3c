"""Repair on demand: over all partitions, one, or one key; by trees, or by every key."""

from __future__ import annotations

from typing import Any

import pytest
from kit.stage import Stage
from test_anti_entropy import A_PASS_S, CountingStage, made, place

from kvorum.model.errors import NamespaceNotFound, NotFound, Overloaded, ProtocolError, RequestError
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.request import Unreadable
from kvorum.repair.repair import RUNS_MAX
from kvorum.wire.messages import Message, RepairPartition


def begin(stage: Stage, node: int = 0, **what: Any) -> dict[str, Any]:
    replicator = stage.nodes[node]
    assert replicator is not None
    asked = {"namespace": None, "partition": None, "key": None, "full": False} | what
    return replicator.repairs.begin(**asked)


def progress(stage: Stage, number: str, node: int = 0) -> dict[str, Any]:
    replicator = stage.nodes[node]
    assert replicator is not None
    return replicator.repairs.progress(number)


def scattered(nodes: int, keys: int) -> CountingStage:
    """A cluster with N=3 where each key is known to one of its owners only."""
    stage = CountingStage(nodes, 3)
    for i in range(keys):
        key = place(f"k{i}")
        owners = stage.placement.owners(stage.placement.partition(key[1:9]), PlacementRule(3))
        stage.plant(owners[i % 3], key, made(key, i))
    return stage


def test_a_run_makes_all_owners_equal_also_of_partitions_of_others() -> None:
    stage = scattered(5, 200)
    started = begin(stage)
    assert started["partitions"] == 256
    assert not started["ended"]
    stage.settle()
    ended = progress(stage, started["id"])
    assert ended["ended"]
    assert ended["done"] == 256
    assert ended["incomplete"] == []
    assert ended["repaired"] == 400
    stage.assert_equal_owners()


def test_siblings_are_merged_at_once() -> None:
    stage = CountingStage(2, 2)
    key = place("k")
    stage.plant(0, key, made(key, 1))
    stage.plant(1, key, made(key, 2))
    begin(stage)
    stage.settle()
    stage.assert_equal_owners()


def test_a_partition_is_repaired_alone() -> None:
    stage = scattered(3, 200)
    partition = stage.placement.partition(place("k7")[1:9])
    run = begin(stage, partition=partition)
    stage.settle()
    assert progress(stage, run["id"])["done"] == 1
    for i in range(200):
        key = place(f"k{i}")
        holders = sum(key in stage.content(node) for node in range(3))
        assert holders == (3 if stage.placement.partition(key[1:9]) == partition else 1)


@pytest.mark.parametrize("node", range(5))
def test_a_key_is_repaired_alone(node: int) -> None:
    stage = scattered(5, 20)
    run = begin(stage, node, key="k7", namespace="default")
    stage.settle()
    assert progress(stage, run["id"], node)["repaired"] == 2
    for i in range(20):
        holders = sum(place(f"k{i}") in stage.content(node) for node in range(5))
        assert holders == (3 if i == 7 else 1)


def test_what_the_trees_do_not_show_is_found_by_a_full_run() -> None:
    stage = CountingStage(3, 3)
    key = place("k")
    for node in range(3):
        stage.disks[node].durable[key] = made(key, 1)
    # Damage behind the first bytes, which are all that the tree knows of a record.
    stage.disks[1].durable[key] = made(key, 1)[:-1] + b"?"
    for node in range(3):
        stage.kill(node)
    for node in range(3):
        stage.restart(node)
    stage.settle()
    run = begin(stage)
    stage.settle()
    assert progress(stage, run["id"])["repaired"] == 0
    run = begin(stage, full=True)
    stage.settle()
    assert progress(stage, run["id"])["repaired"] == 1
    assert stage.content(1)[key] == made(key, 1)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("node", range(4))
def test_what_is_damaged_on_all_owners_stays_so_and_is_named(node: int, full: bool) -> None:
    stage = scattered(4, 20)
    begin(stage)
    stage.settle()
    key = place("k7")
    partition = stage.placement.partition(key[1:9])
    owners = stage.placement.owners(partition, PlacementRule(3))
    for owner in owners:
        stage.disks[owner].damaged.add(key)
        replicator = stage.nodes[owner]
        assert replicator is not None
        replicator.on_damaged(key)
    stage.settle()
    run = begin(stage, node, full=full)
    stage.settle()
    names = [f"n{owner + 1}" for owner in sorted(owners)]
    damaged = progress(stage, run["id"], node)["damaged"]
    assert damaged == [Unreadable(partition, names, token=key[1:9].hex())]
    run = begin(stage, node, key="k7", namespace="default")
    stage.settle()
    (one,) = progress(stage, run["id"], node)["damaged"]
    assert (one.key, one.nodes) == ("k7", names)


def test_what_one_owner_has_whole_is_repaired_and_not_named() -> None:
    stage = scattered(4, 20)
    begin(stage)
    stage.settle()
    key = place("k7")
    for owner in stage.placement.owners(stage.placement.partition(key[1:9]), PlacementRule(3))[:2]:
        stage.disks[owner].damaged.add(key)
    run = begin(stage, full=True)
    stage.settle()
    ended = progress(stage, run["id"])
    assert (ended["damaged"], ended["incomplete"]) == ([], [])
    assert not any(key in disk.damaged for disk in stage.disks)


LAST = b"d\xf0"
"""Where the last sixteenth of the partitions begins."""


@pytest.fixture
def filled() -> CountingStage:
    """Two equal nodes with so many records that it takes a while to count them; with none in the
    last partitions.
    """
    stage = CountingStage(2, 2)
    keys = [key for i in range(2000) if (key := place(f"k{i}")) < LAST]
    for disk in stage.disks:
        disk.durable.update((key, made(key, 1)) for key in keys)
    for node in range(2):
        stage.kill(node)
    for node in range(2):
        stage.restart(node)
    stage.settle()
    return stage


def take_turns(stage: Stage) -> None:
    """As `settle`, but messages arrive between any two callbacks."""
    while stage.clock.soon:
        stage.clock.soon.popleft()()
        while stage.deliver_next():
            pass


def recount(stage: Stage, node: int) -> None:
    replicator = stage.nodes[node]
    assert replicator is not None
    replicator.recount()


def test_a_count_begun_in_the_middle_of_a_comparison_counts_once(filled: CountingStage) -> None:
    begin(filled, full=True)
    filled.clock.soon.popleft()()
    recount(filled, 0)
    take_turns(filled)
    filled.settle()
    filled.reset()
    filled.wait(A_PASS_S)
    assert set(filled.sent) == {"Compare", "Differing"}, "the trees of equal nodes differ"


def test_a_tree_that_is_being_counted_proves_nothing(filled: CountingStage) -> None:
    key = next(key for i in range(100) if (key := place(f"new{i}")) > LAST)
    filled.plant(0, key, made(key, 2))
    partition = filled.placement.partition(key[1:9])
    run = begin(filled, partition=partition)
    recount(filled, 0)
    take_turns(filled)
    filled.settle()
    assert progress(filled, run["id"])["incomplete"] == [partition]
    assert key not in filled.content(1)
    run = begin(filled, partition=partition)
    filled.settle()
    assert progress(filled, run["id"])["incomplete"] == []
    assert key in filled.content(1)


def test_partitions_with_an_owner_down_are_said_to_be_incomplete() -> None:
    stage = scattered(5, 50)
    stage.kill(4)
    run = begin(stage)
    stage.wait(10)
    ended = progress(stage, run["id"])
    assert ended["ended"]
    of_4 = [p for p in range(256) if 4 in stage.placement.owners(p, PlacementRule(3))]
    assert ended["incomplete"] == of_4
    stage.restart(4)
    stage.settle()
    run = begin(stage)
    stage.settle()
    assert progress(stage, run["id"])["incomplete"] == []
    stage.assert_equal_owners()


def test_what_cannot_be_repaired_is_refused() -> None:
    stage = CountingStage(3, 3)
    for what, kind in (
        ({"partition": 256}, RequestError),
        ({"partition": -1}, RequestError),
        ({"partition": 1, "key": "k"}, RequestError),
        ({"namespace": "nowhere"}, NamespaceNotFound),
    ):
        with pytest.raises(kind):
            begin(stage, **what)
    with pytest.raises(NotFound):
        progress(stage, "of another node")


def test_few_runs_go_on_at_once_and_few_are_remembered() -> None:
    stage = CountingStage(3, 3)
    runs = [begin(stage)["id"] for _ in range(RUNS_MAX)]
    with pytest.raises(Overloaded):
        begin(stage)
    stage.settle()
    for _ in range(RUNS_MAX):
        begin(stage)
        stage.settle()
    with pytest.raises(NotFound):
        progress(stage, runs[0])


@pytest.mark.parametrize(
    "message",
    [
        RepairPartition(1, "2", 0, b"", b""),
        RepairPartition(1, "3", 256, b"", b""),
        RepairPartition(1, "3", -1, b"", b""),
        RepairPartition(1, "3", 0, b"d" + bytes(8), b"e"),
        RepairPartition(1, "3", 0, b"", b"e"),
    ],
    ids=repr,
)
def test_a_lying_peer_is_refused(message: Message) -> None:
    replicator = CountingStage(3, 3).nodes[0]
    assert replicator is not None
    with pytest.raises(ProtocolError):
        replicator.on_message(1, message)
