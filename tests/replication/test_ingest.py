"""Records made elsewhere: merged into their owners as they are, whoever leads."""

from __future__ import annotations

from typing import Any

import pytest
from kit.stage import Stage

from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.record import EMPTY, JSON, Event, Record, decode, delete, merge, write
from kvorum.model.request import Answer, Delete, Failure, Get, Put
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.ingest import IngestOperation

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2)
STRANGER = 99 << 20 | 1
OLD = write(EMPTY, (), Event(STRANGER, 1, 1000), JSON, b'"old"')
NEW = write(OLD, OLD.context, Event(STRANGER, 2, 2000), JSON, b'"new"')


def place(key: str) -> bytes:
    return storage_key(TOKEN_HASHES["murmur3"](key.encode(), 0), "default", key.encode())


def owners(stage: Stage, key: str) -> tuple[int, ...]:
    return stage.placement.owners(stage.placement.partition(place(key)[1:9]), PlacementRule(3))


def ingest(stage: Stage, node: int, key: str, record: Record, w: int = 0) -> list[Any]:
    replicator = stage.nodes[node]
    assert replicator is not None
    answers: list[Any] = []
    replicator.ingest("default", key, record, w, answers.append)
    assert not answers, "answered before it returned"
    return answers


def held(stage: Stage, key: str) -> list[Record]:
    found = [stage.disks[node].get(place(key)) for node in owners(stage, key)]
    return [EMPTY if data is None else decode(place(key), data) for data in found]


@pytest.mark.parametrize("leader", range(5))
def test_all_owners_get_it_as_it_is(leader: int) -> None:
    stage = Stage(5, SETTINGS)
    answers = ingest(stage, leader, "k", NEW)
    stage.settle()
    assert isinstance(answers[0], Answer)
    assert len(answers) == 1
    assert held(stage, "k") == [NEW] * 3
    others = set(range(5)) - set(owners(stage, "k"))
    assert all(stage.disks[node].get(place("k")) is None for node in others)
    read = stage.ask(leader, Get("default", "k"))
    stage.settle()
    assert isinstance(read[0], Answer)
    assert read[0].record == NEW


def test_it_merges_with_what_is_there() -> None:
    stage = Stage(3, SETTINGS)
    put = stage.ask(0, Put("default", "k", JSON, b'"theirs"'))
    stage.settle()
    assert isinstance(put[0], Answer)
    ingest(stage, 1, "k", NEW)
    stage.settle()
    assert held(stage, "k") == [merge(put[0].record, NEW)] * 3
    assert len(held(stage, "k")[0].versions) == 2


def test_what_is_older_changes_nothing() -> None:
    stage = Stage(3, SETTINGS)
    ingest(stage, 0, "k", NEW)
    stage.settle()
    answers = ingest(stage, 1, "k", OLD)
    stage.settle()
    assert isinstance(answers[0], Answer)
    assert held(stage, "k") == [NEW] * 3


def test_what_was_deleted_since_stays_deleted() -> None:
    stage = Stage(3, SETTINGS)
    ingest(stage, 0, "k", OLD)
    stage.settle()
    deleted = stage.ask(0, Delete("default", "k"))
    stage.settle()
    assert isinstance(deleted[0], Answer)
    ingest(stage, 0, "k", OLD)
    stage.settle()
    assert all(not record.versions for record in held(stage, "k"))


def test_a_tombstone_goes_in_too() -> None:
    stage = Stage(3, SETTINGS)
    ingest(stage, 0, "k", OLD)
    ingest(stage, 0, "k", delete(NEW, NEW.context, Event(STRANGER, 3, 3000)))
    stage.settle()
    assert all(not record.versions for record in held(stage, "k"))


def test_it_is_answered_when_w_have_it_durably() -> None:
    stage = Stage(3, SETTINGS)
    for disk in stage.disks:
        disk.held = True
    answers = ingest(stage, 0, "k", NEW)
    stage.settle()
    assert not answers
    for disk in stage.disks[:2]:
        disk.held = False
        disk.sync()
    stage.settle()
    assert isinstance(answers[0], Answer)


def test_an_owner_that_is_away_is_owed_a_hint() -> None:
    stage = Stage(3, SETTINGS)
    stage.kill(2)
    answers = ingest(stage, 0, "k", NEW)
    stage.settle()
    assert isinstance(answers[0], Answer)
    stage.restart(2)
    stage.wait(3)
    assert held(stage, "k") == [NEW] * 3


def test_too_few_owners_refuse_it() -> None:
    stage = Stage(3, SETTINGS)
    stage.kill(1)
    stage.kill(2)
    answers = ingest(stage, 0, "k", NEW)
    stage.settle()
    assert isinstance(answers[0], Failure)
    assert (answers[0].code, answers[0].outcome) == ("quorum_not_met", "none")


def test_owners_that_leave_meanwhile_make_it_unknown() -> None:
    stage = Stage(3, SETTINGS)
    for disk in stage.disks:
        disk.held = True
    answers = ingest(stage, 0, "k", NEW)
    stage.settle()
    stage.kill(1)
    stage.kill(2)
    stage.settle()
    assert (answers[0].code, answers[0].outcome) == ("quorum_not_met", "unknown")


def test_the_deadline_ends_it() -> None:
    stage = Stage(3, SETTINGS)
    for disk in stage.disks:
        disk.held = True
    answers = ingest(stage, 0, "k", NEW)
    stage.wait(SETTINGS.timeout_ms / 1000 + 1)
    assert (answers[0].code, answers[0].outcome) == ("timeout", "unknown")
    assert stage.nodes[0] is not None
    assert not any(
        isinstance(operation, IngestOperation)
        for operation in stage.nodes[0]._operations.table.values()
    )


def test_what_is_wrong_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(3, SETTINGS)
    monkeypatch.setattr("kvorum.replication.ingest.RECORD_BYTES_MAX", 10_000)
    huge = write(EMPTY, (), Event(STRANGER, 1, 1), JSON, bytes(10_000))
    replicator = stage.nodes[0]
    assert replicator is not None
    for namespace, key, record, w, code in (
        ("nowhere", "k", NEW, 0, "namespace_not_found"),
        ("default", "", NEW, 0, "invalid_key"),
        ("default", "k", huge, 0, "invalid_value"),
        ("default", "k", NEW, 4, "bad_request"),
    ):
        answers: list[Any] = []
        replicator.ingest(namespace, key, record, w, answers.append)
        stage.settle()
        assert answers[0].code == code
    assert held(stage, "k") == [EMPTY] * 3


# Records that list writes of today's nodes


def listing(node: int, counter: int, life: int = 1) -> Record:
    """A record in whose context a node of the stage has written `counter` times."""
    return write(EMPTY, (), Event((node + 1) << 20 | life, counter, 1), JSON, b'"forged"')


def written(stage: Stage, node: int, times: int) -> None:
    for number in range(times):
        stage.ask(node, Put("default", "other", JSON, b"%d" % number, ()))
        stage.settle()


@pytest.mark.parametrize("leader", range(3))
def test_writes_that_their_node_has_made_are_taken(leader: int) -> None:
    stage = Stage(3, SETTINGS)
    written(stage, 1, 3)
    for counter in (3, 2):
        answers = ingest(stage, leader, "k", listing(1, counter))
        stage.settle()
        assert isinstance(answers[0], Answer), answers


@pytest.mark.parametrize("leader", range(3))
@pytest.mark.parametrize(("counter", "life"), [(4, 1), (1 << 60, 1), (1, 2)])
def test_writes_that_their_node_never_made_are_refused(
    leader: int, counter: int, life: int
) -> None:
    stage = Stage(3, SETTINGS)
    written(stage, 1, 3)
    ingest(stage, leader, "k", listing(1, 3))  # for which it vouches
    stage.settle()
    before = held(stage, "k")
    answers = ingest(stage, leader, "k", listing(1, counter, life))
    stage.settle()
    assert (answers[0].code, answers[0].outcome) == ("invalid_value", "none")
    assert "n2" in answers[0].message
    assert held(stage, "k") == before
    assert not any(node is None or node.outrun for node in stage.nodes)


def test_a_node_that_cannot_be_asked_vouches_for_nothing() -> None:
    stage = Stage(3, SETTINGS)
    written(stage, 1, 3)
    stage.kill(1)
    answers = ingest(stage, 0, "k", listing(1, 3))
    stage.wait(10)
    assert (answers[0].code, answers[0].outcome) == ("unavailable", "none")
    stage.restart(1)
    answers = ingest(stage, 0, "k", listing(1, 3))
    stage.settle()
    assert isinstance(answers[0], Answer)


def test_what_a_former_life_wrote_is_nobody_s_to_vouch_for() -> None:
    stage = Stage(3, SETTINGS)
    stage.kill(1)
    stage.restart(1)
    answers = ingest(stage, 0, "k", listing(1, 1 << 60))
    stage.settle()
    assert isinstance(answers[0], Answer)
    put = stage.ask(1, Put("default", "k", JSON, b"1"))
    stage.settle()
    assert isinstance(put[0], Answer)
    assert [v.value for v in held(stage, "k")[0].versions] == [b"1"]
