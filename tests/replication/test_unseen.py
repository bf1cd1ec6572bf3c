"""Requests that have seen more than the replicas that can be read: nothing is decided on less."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.record import JSON, Context
from kvorum.model.request import EXACT, Answer, Delete, Failure, Get, Put, Request, Result, Touch
from kvorum.model.topology import NamespaceSettings

N1, N2, N3 = range(3)
OLD, NEW, NEWER = b'"old"', b'"new"', b'"newer"'


def ask(stage: Stage, node: int, request: Request) -> Result:
    answers = stage.ask(node, request)
    stage.wait(2)
    return answers[0]


def context(result: Result) -> Context:
    assert isinstance(result, Answer), result
    return result.record.context


def values(stage: Stage) -> list[bytes]:
    result = ask(stage, N1, Get("default", "k", 3))
    assert isinstance(result, Answer), result
    return [version.value for version in result.record.live_versions()]


@pytest.fixture
def stage() -> Stage:
    """All have the old value. n3 alone has acknowledged a new one, with w=1."""
    stage = Stage(3, NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000))
    old = context(ask(stage, N1, Put("default", "k", JSON, OLD)))
    stage.wait(2)
    stage.cut(N1, N3)
    stage.cut(N2, N3)
    stage.seen = context(ask(stage, N3, Put("default", "k", JSON, NEW, old, w=1)))  # type: ignore[attr-defined]
    return stage


def seen(stage: Stage) -> Context:
    found: Context = stage.seen  # type: ignore[attr-defined]
    return found


def heal(stage: Stage) -> None:
    stage.mend(N1, N3)
    stage.mend(N2, N3)
    stage.wait(60)


def test_a_write_replaces_what_it_has_seen_though_nobody_here_has(stage: Stage) -> None:
    assert isinstance(ask(stage, N1, Put("default", "k", JSON, NEWER, seen(stage))), Answer)
    heal(stage)
    assert values(stage) == [NEWER]


def test_a_write_of_the_old_value_brings_it_back(stage: Stage) -> None:
    assert isinstance(ask(stage, N1, Put("default", "k", JSON, OLD, seen(stage))), Answer)
    heal(stage)
    assert values(stage) == [OLD]


def test_a_delete_removes_what_it_has_seen_though_nobody_here_has(stage: Stage) -> None:
    assert isinstance(ask(stage, N1, Delete("default", "k", seen(stage))), Answer)
    heal(stage)
    assert values(stage) == []


def test_a_touch_does_not_bring_back_what_was_replaced(stage: Stage) -> None:
    result = ask(stage, N1, Touch("default", "k", 3600, seen=seen(stage)))
    assert isinstance(result, Failure)
    assert (result.code, result.outcome) == ("unavailable", "none")
    assert "'k'" in result.message
    heal(stage)
    assert values(stage) == [NEW]


@pytest.mark.parametrize("kind", ["put", "delete", "touch"])
def test_an_exact_condition_waits_for_who_knows(stage: Stage, kind: str) -> None:
    request: Request
    if kind == "put":
        request = Put("default", "k", JSON, NEWER, seen(stage), EXACT)
    elif kind == "delete":
        request = Delete("default", "k", seen(stage), EXACT)
    else:
        request = Touch("default", "k", 3600, seen=seen(stage), expect=EXACT)
    result = ask(stage, N1, request)
    assert isinstance(result, Failure)
    assert (result.code, result.outcome) == ("unavailable", "none")
    stage.mend(N1, N3)
    assert isinstance(ask(stage, N1, request), Answer)


def test_the_one_that_knows_is_asked_although_a_quorum_has_answered(stage: Stage) -> None:
    stage.mend(N1, N3)
    stage.mend(N2, N3)
    result = ask(stage, N1, Touch("default", "k", 3600, seen=seen(stage)))
    assert isinstance(result, Answer)
    heal(stage)
    assert values(stage) == [NEW]


def test_what_no_owner_has_any_more_is_not_waited_for(stage: Stage) -> None:
    heal(stage)
    lost: Context = (*seen(stage)[:-1], seen(stage)[-1].__class__(77 << 20 | 1, 1, 1))
    for request, code in (
        (Touch("default", "k", 3600, seen=lost), "not_found"),
        (Put("default", "k", JSON, NEWER, lost, EXACT), "precondition_failed"),
    ):
        result = ask(stage, N1, request)
        assert isinstance(result, Failure)
        assert result.code == code
