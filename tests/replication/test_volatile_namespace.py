"""A namespace kept in memory: replicated while it lasts, and no loss when it does not."""

from __future__ import annotations

from kit.stage import Stage

from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.request import Answer, Delete, Failure, Get, Put
from kvorum.model.topology import NamespaceSettings

SETTINGS = NamespaceSettings(
    replicas=3, read=2, write=2, durability="none", max_memory=1 << 20, quorum="sloppy"
)
KEYS = [f"k{number}" for number in range(12)]


def place(key: str) -> bytes:
    return storage_key(TOKEN_HASHES["murmur3"](key.encode(), 0), "default", key.encode())


def put(stage: Stage, node: int, key: str, value: bytes) -> None:
    results = stage.ask(node, Put("default", key, 1, value))
    stage.settle()
    assert isinstance(results[0], Answer)


def values(stage: Stage, node: int, key: str, r: int = 0) -> list[bytes]:
    results = stage.ask(node, Get("default", key, r=r))
    stage.settle()
    assert isinstance(results[0], Answer)
    return [version.value for version in results[0].record.live_versions()]


def records(stage: Stage) -> list[bytes]:
    return [key for disk in stage.disks for key in disk.durable if key[:1] in b"dh"]


def test_nothing_of_it_reaches_a_disk() -> None:
    stage = Stage(4, SETTINGS)
    for key in KEYS:
        put(stage, 0, key, b"1")
    stage.kill(2)
    for key in KEYS:  # some of them to nodes that stand in
        put(stage, 1, key, b"2")
    assert all(values(stage, 0, key) == [b"2"] for key in KEYS)
    assert records(stage) == []


def test_a_node_that_was_away_is_owed_nothing() -> None:
    stage = Stage(3, SETTINGS)
    stage.kill(2)
    for key in KEYS:
        put(stage, 0, key, b"1")
    replicators = [replicator for replicator in stage.nodes if replicator is not None]
    assert [replicator.hints_owed(2) for replicator in replicators] == [0, 0]
    stage.restart(2, crashed=True)
    stage.wait(300)
    comparisons = [node.anti_entropy() for node in stage.nodes if node is not None]
    assert all(status.repaired == 0 for status in comparisons)


def test_a_quorum_finds_what_a_restarted_node_has_not() -> None:
    stage = Stage(3, SETTINGS)
    for key in KEYS:
        put(stage, 0, key, b"1")
    stage.kill(0)
    stage.restart(0, crashed=True)
    for key in KEYS:
        assert values(stage, 0, key) == [b"1"]
        # The read gave it back to the node that had lost it.
        assert values(stage, 0, key, r=1) == [b"1"]


def test_a_write_through_a_node_that_has_forgotten_makes_no_sibling() -> None:
    stage = Stage(3, SETTINGS)
    for key in KEYS:
        put(stage, 0, key, b"1")
    for node in range(3):
        stage.kill(node)
        stage.restart(node, crashed=True)
        for key in KEYS:
            put(stage, node, key, b"%d" % node)
            assert values(stage, 0, key, r=3) == [b"%d" % node]


def test_when_all_owners_have_restarted_it_is_gone_and_can_be_written_again() -> None:
    stage = Stage(3, SETTINGS)
    put(stage, 0, "k", b"1")
    for node in range(3):
        stage.kill(node)
    for node in range(3):
        stage.restart(node, crashed=True)
    assert values(stage, 0, "k", r=3) == []
    put(stage, 0, "k", b"2")
    assert values(stage, 1, "k", r=3) == [b"2"]


def test_its_tombstones_wait_for_no_proof() -> None:
    stage = Stage(3, SETTINGS)
    put(stage, 0, "k", b"1")
    results = stage.ask(0, Delete("default", "k"))
    stage.wait(600)
    assert not isinstance(results[0], Failure)
    assert values(stage, 1, "k") == []
    collected = [node.counters()["tombstones_collected"] for node in stage.nodes if node]
    assert collected == [0, 0, 0]


def test_full_disks_do_not_concern_it() -> None:
    stage = Stage(3, SETTINGS)
    for disk in stage.disks:
        disk.full = True
    for node in range(3):
        put(stage, node, "k", b"%d" % node)
    assert values(stage, 0, "k", r=3) == [b"2"]
