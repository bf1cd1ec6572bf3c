"""Siblings are bounded where they are made, and what merges beyond the bounds can be resolved."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.record import JSON, Context
from kvorum.model.request import Answer, Delete, Failure, Get, Put, Request, Result, Touch
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.change import SIBLING_BOUNDS

SIBLINGS_MAX, SIBLINGS_BYTES_MAX = SIBLING_BOUNDS
N1, N2, N3 = range(3)
NOTHING: Context = ()


def ask(stage: Stage, node: int, request: Request) -> Result:
    answers = stage.ask(node, request)
    stage.settle()
    return answers[0]


def value(number: int, size: int) -> bytes:
    return b'"%0*d"' % (size - 2, number)


def beside(stage: Stage, node: int, number: int, size: int = 10, w: int = 0) -> Result:
    """A write that has seen nothing, and so replaces nothing."""
    return ask(stage, node, Put("default", "k", JSON, value(number, size), NOTHING, w=w))


def held(stage: Stage, node: int, r: int = 0) -> tuple[int, Context]:
    result = ask(stage, node, Get("default", "k", r))
    assert isinstance(result, Answer)
    return len(result.record.versions), result.record.context


@pytest.fixture
def stage() -> Stage:
    return Stage(3, NamespaceSettings(replicas=3, read=2, write=2))


def test_so_many_siblings_are_kept_and_no_more(stage: Stage) -> None:
    for number in range(SIBLINGS_MAX):
        assert isinstance(beside(stage, number % 3, number), Answer)
    before = held(stage, N1)
    result = beside(stage, N1, SIBLINGS_MAX)
    assert isinstance(result, Failure)
    assert (result.code, result.outcome) == ("too_many_siblings", "none")
    assert "'k'" in result.message
    assert held(stage, N1) == before
    assert before[0] == SIBLINGS_MAX


def test_so_many_bytes_are_kept_and_no_more(stage: Stage) -> None:
    size = SIBLINGS_BYTES_MAX // 8
    results = [beside(stage, number % 3, number, size) for number in range(9)]
    assert [type(result) for result in results] == [Answer] * 8 + [Failure]
    assert held(stage, N2)[0] == 8


def test_a_blind_write_replaces_them_all(stage: Stage) -> None:
    for number in range(SIBLINGS_MAX):
        beside(stage, number % 3, number)
    assert isinstance(ask(stage, N1, Put("default", "k", JSON, b"1")), Answer)
    assert held(stage, N1)[0] == 1


@pytest.fixture
def overfull(stage: Stage) -> Stage:
    """Each side of a partition has taken as much as it may."""
    stage.cut(N1, N2)
    stage.cut(N2, N3)
    stage.cut(N3, N1)
    for node in (N1, N2, N3):
        for number in range(8):
            result = beside(stage, node, 10 * node + number, SIBLINGS_BYTES_MAX // 8, w=1)
            assert isinstance(result, Answer)
    stage.mend(N1, N2)
    stage.mend(N2, N3)
    stage.mend(N3, N1)
    stage.wait(60)
    return stage


def test_what_merges_beyond_the_bounds_is_kept_and_read(overfull: Stage) -> None:
    assert [held(overfull, node, r=3)[0] for node in (N1, N2, N3)] == [24] * 3


def test_it_takes_no_more(overfull: Stage) -> None:
    assert isinstance(beside(overfull, N1, 99), Failure)


def test_it_can_be_resolved(overfull: Stage) -> None:
    _, context = held(overfull, N2)
    result = ask(overfull, N2, Put("default", "k", JSON, b"1", context))
    assert isinstance(result, Answer)
    assert held(overfull, N3)[0] == 1


def test_it_can_be_resolved_in_part(overfull: Stage) -> None:
    _, context = held(overfull, N2)
    some = context[:1]
    assert isinstance(ask(overfull, N2, Put("default", "k", JSON, b"1", some)), Answer)
    assert held(overfull, N3)[0] == 17


def test_it_can_be_deleted(overfull: Stage) -> None:
    _, context = held(overfull, N2)
    assert isinstance(ask(overfull, N1, Delete("default", "k", context)), Answer)
    assert held(overfull, N3)[0] == 0


def test_it_can_be_given_a_lifetime(overfull: Stage) -> None:
    _, context = held(overfull, N2)
    assert isinstance(ask(overfull, N1, Touch("default", "k", ttl=60, seen=context)), Answer)
    assert held(overfull, N3)[0] == 24
