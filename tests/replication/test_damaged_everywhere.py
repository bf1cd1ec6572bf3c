"""A key whose record is damaged on all its owners: it cannot be read, and can be written anew."""

from __future__ import annotations

from functools import partial

import pytest
from kit.stage import Stage

from kvorum.model.record import JSON
from kvorum.model.request import (
    ABSENT,
    EXACT,
    PRESENT,
    Answer,
    Delete,
    Failure,
    Get,
    Put,
    Request,
    Result,
    Touch,
)
from kvorum.model.topology import NamespaceSettings
from kvorum.storage.store import KeyRange

N1, N2, N3 = range(3)
OLD, NEW = b'"old"', b'"new"'


def damaged(nodes: int, replicas: int, quorum: int) -> Stage:
    stage = Stage(nodes, NamespaceSettings(replicas=replicas, read=quorum, write=quorum))
    assert isinstance(ask(stage, N1, Put("default", "k", JSON, OLD)), Answer)
    damage(stage)
    return stage


def damage(stage: Stage) -> None:
    for disk, replicator in zip(stage.disks, stage.nodes, strict=True):
        assert replicator is not None
        for key in [key for key in disk.durable if key.startswith(b"d")]:
            disk.damaged.add(key)
            replicator.on_damaged(key)


def ask(stage: Stage, node: int, request: Request) -> Result:
    answers = stage.ask(node, request)
    stage.wait(5)
    return answers[0]


@pytest.fixture(params=[(3, 3, 2), (1, 1, 1), (5, 3, 2)], ids=["three", "one", "five"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return damaged(*request.param)


def test_it_cannot_be_read(stage: Stage) -> None:
    result = ask(stage, N1, Get("default", "k"))
    assert isinstance(result, Failure)
    assert result.code == "quorum_not_met"


@pytest.mark.parametrize("blind", [True, False])
def test_it_can_be_overwritten(stage: Stage, *, blind: bool) -> None:
    seen = None if blind else ()
    assert isinstance(ask(stage, N1, Put("default", "k", JSON, NEW, seen)), Answer)
    stage.wait(60)
    result = ask(stage, N1, Get("default", "k"))
    assert isinstance(result, Answer), result
    assert [version.value for version in result.record.versions] == [NEW]


def test_it_can_be_deleted(stage: Stage) -> None:
    assert isinstance(ask(stage, N1, Delete("default", "k")), Answer)
    stage.wait(60)
    result = ask(stage, N1, Get("default", "k"))
    assert isinstance(result, Answer), result
    assert not result.record.versions


@pytest.mark.parametrize("expect", [ABSENT, PRESENT, EXACT])
def test_what_is_there_is_no_condition(stage: Stage, expect: int) -> None:
    put = Put("default", "k", JSON, NEW, () if expect == EXACT else None, expect)
    result = ask(stage, N1, put)
    assert isinstance(result, Failure)
    assert result.code == "quorum_not_met"
    assert result.outcome == "none"


def test_it_has_no_lifetime_to_change(stage: Stage) -> None:
    result = ask(stage, N1, Touch("default", "k", ttl=60))
    assert isinstance(result, Failure)
    assert result.code == "quorum_not_met"


@pytest.mark.parametrize("write", [Put("default", "k", JSON, NEW), Delete("default", "k")])
def test_what_stays_damaged_around_it_does_not_matter(write: Put | Delete) -> None:
    """A block of a file is damaged: its tokens are, whatever is written since."""
    stage = damaged(3, 3, 2)
    for disk in stage.disks:
        found = disk.unreadable(b"d", b"e")
        disk.unreadable = partial(_always, found)  # type: ignore[method-assign]
    assert isinstance(ask(stage, N1, write), Answer)
    stage.wait(60)
    wanted = [NEW] if isinstance(write, Put) else []
    for node in (N1, N2, N3):
        assert values(ask(stage, node, Get("default", "k", 3))) == wanted
    for node in (N1, N2, N3):
        stage.kill(node)
    for node in (N1, N2, N3):
        stage.restart(node)
    stage.wait(60)
    assert values(ask(stage, N1, Get("default", "k", 3))) == wanted
    if wanted:  # A tombstone may have been collected by now.
        damage(stage)
        assert isinstance(ask(stage, N1, Get("default", "k")), Failure)


def _always(found: list[KeyRange], _start: bytes, _end: bytes) -> list[KeyRange]:
    return found


def values(result: Result) -> list[bytes]:
    assert isinstance(result, Answer), result
    return [version.value for version in result.record.versions]


def test_an_owner_that_is_away_may_have_it() -> None:
    stage = damaged(3, 3, 2)
    stage.kill(N3)
    result = ask(stage, N1, Delete("default", "k"))
    assert isinstance(result, Failure)
    assert result.outcome == "none"
