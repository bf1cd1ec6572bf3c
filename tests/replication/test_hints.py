"""Hints: what becomes of those that are too many, too old, or for a node that is gone."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.handoff import hints
from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import EMPTY, JSON, Event, digest, encode, write
from kvorum.model.request import Answer, Get, Put
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.replicator import Replicator

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2)
A_PASS_S = 10.0


def place(key: str) -> bytes:
    return storage_key(TOKEN_HASHES["murmur3"](key.encode(), 0), "default", key.encode())


def put(stage: Stage, node: int, key: str) -> None:
    results = stage.ask(node, Put("default", key, JSON, b"1"))
    stage.settle()
    assert isinstance(results[0], Answer)


def owed(stage: Stage, node: int) -> dict[str, object]:
    """All that others say they owe to `node`, by what they say."""
    totals: dict[str, object] = {"pending": 0, "missed_more": False}
    for other, replicator in enumerate(stage.nodes):
        if replicator is not None and other != node:
            status = replicator.hints(node)
            totals["pending"] = int(str(totals["pending"])) + status.pending
            totals["missed_more"] = totals["missed_more"] or status.missed_more
    return totals


def test_hints_for_a_node_that_is_gone_go_to_the_owners_of_today() -> None:
    stage = Stage(4, SETTINGS)
    key = place("k")
    owners = stage.placement.owners(stage.placement.partition(key[1:9]), PlacementRule(3))
    (other,) = set(range(4)) - set(owners)
    record = encode(key, write(EMPTY, (), Event(7 << 20 | 1, 1, 1000), JSON, b'"kept"'))
    stage.kill(other)
    stage.disks[other].durable |= {key: record, b"hgone\0" + key: b""}
    stage.disks[other].crash()
    stage.restart(other)
    stage.wait(3)
    assert [stage.disks[node].get(key) for node in owners] == [record] * 3
    assert stage.disks[other].scan(b"h", b"i", 10) == []
    assert stage.disks[other].get(key) is None, "a guest's copy goes once its owners have it"


def test_beyond_the_bound_a_node_is_marked_and_healed_by_comparing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hints, "HINTS_MAX", 5)
    stage = Stage(3, SETTINGS)
    stage.kill(2)
    for i in range(40):
        put(stage, i % 2, f"k{i}")
    assert owed(stage, 2) == {"pending": 10, "missed_more": True}
    stage.restart(2)
    stage.wait(2 * A_PASS_S)
    assert owed(stage, 2) == {"pending": 0, "missed_more": False}
    for i in range(40):
        assert stage.disks[2].get(place(f"k{i}")) == stage.disks[0].get(place(f"k{i}"))


def test_hints_that_grow_old_are_left_to_comparing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "HINT_AGE_MAX_MS", 5000)
    stage = Stage(3, SETTINGS)
    stage.kill(2)
    for i in range(10):
        put(stage, i % 2, f"k{i}")
    assert owed(stage, 2)["missed_more"] is False
    stage.wait(6)
    for i in range(10):
        put(stage, i % 2, f"late{i}")
    assert owed(stage, 2)["missed_more"] is True


def test_what_a_node_keeps_for_others_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints, "HANDOFF_BYTES_MAX", 10)
    stage = Stage(4, NamespaceSettings(replicas=3, read=2, write=3, quorum="sloppy"))
    key = next(f"k{i}" for i in range(99) if 3 not in owners_of(stage, f"k{i}"))
    away = owners_of(stage, key)[2]
    stage.kill(away)
    results = stage.ask(owners_of(stage, key)[0], Put("default", key, JSON, b'"too long to keep"'))
    stage.settle()
    assert not isinstance(results[0], Answer), "only two owners can have it"
    read = stage.ask(3, Get("default", key, r=2))
    stage.settle()
    assert isinstance(read[0], Answer)


def owners_of(stage: Stage, key: str) -> tuple[int, ...]:
    return stage.placement.owners(stage.placement.partition(place(key)[1:9]), PlacementRule(3))


def test_a_hint_stays_when_an_older_record_than_the_newest_was_acknowledged() -> None:
    stage = Stage(3, SETTINGS)
    stage.kill(2)
    put(stage, 0, "k")
    holder = next(node for node, replicator in enumerate(stage.nodes) if is_owing(replicator))
    key, older = place("k"), stage.disks[holder].get(place("k"))
    stage.ask(0, Put("default", "k", JSON, b"2"))
    stage.settle()
    newest = stage.disks[holder].get(key)
    replicator = stage.nodes[holder]
    assert replicator is not None
    assert older is not None
    assert newest is not None
    replicator.owner.hints.on_acked(2, key, digest(older))
    assert replicator.hints_owed(2) == 1
    replicator.owner.hints.on_acked(2, key, digest(newest))
    assert replicator.hints_owed(2) == 0


def is_owing(replicator: Replicator | None) -> bool:
    return replicator is not None and replicator.hints_owed(2) > 0
