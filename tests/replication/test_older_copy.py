"""A node that runs on an older copy of its data directory finds out, and writes no more."""

from __future__ import annotations

from typing import Any

import pytest
from kit.stage import Stage

from kvorum.model.record import JSON
from kvorum.model.request import Answer, Get, Put, Request
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.replicator import Replicator

N1, N2, N3 = range(3)


@pytest.fixture
def stage() -> Stage:
    """n1 has written "k" three times, which n2 and n3 know. Then it was stopped, and started on a
    copy of before: under the same actor, and with its first counter.
    """
    stage = Stage(3, NamespaceSettings(replicas=3, read=2, write=2))
    for number in range(3):
        ask(stage, N1, Put("default", "k", JSON, b"%d" % number, ()))
    stage.kill(N1)
    (key,) = [key for key in stage.disks[N1].durable if key.startswith(b"d")]
    del stage.disks[N1].durable[key]
    stage.disks[N1].crash()
    stage.lives[N1] -= 1
    stage.restart(N1)
    return stage


def ask(stage: Stage, node: int, request: Request) -> Any:
    answers = stage.ask(node, request)
    stage.settle()
    return answers[0]


def replicator(stage: Stage, node: int) -> Replicator:
    found = stage.nodes[node]
    assert found is not None
    return found


def test_it_finds_out_when_it_reads(stage: Stage) -> None:
    assert not replicator(stage, N1).outrun
    answer = ask(stage, N1, Get("default", "k"))
    assert isinstance(answer, Answer)
    assert len(answer.record.versions) == 3
    assert replicator(stage, N1).outrun


def test_it_finds_out_when_it_is_sent_what_it_lacks(stage: Stage) -> None:
    ask(stage, N2, Put("default", "k", JSON, b"9", ()))
    assert replicator(stage, N1).outrun


def test_it_finds_out_by_itself(stage: Stage) -> None:
    stage.wait(120)
    assert replicator(stage, N1).outrun


def test_from_then_on_it_writes_nothing(stage: Stage) -> None:
    ask(stage, N1, Get("default", "k"))
    answer = ask(stage, N1, Put("default", "other", JSON, b"1", ()))
    assert (answer.code, answer.outcome) == ("storage_failed", "none")
    assert "older copy" in answer.message


def test_others_report_it(stage: Stage) -> None:
    ask(stage, N2, Put("default", "k", JSON, b"9", ()))
    assert replicator(stage, N2).counters()["disowned_writes"] > 0


def test_a_new_life_writes_as_somebody_else(stage: Stage) -> None:
    ask(stage, N1, Get("default", "k"))
    stage.kill(N1)
    stage.restart(N1)
    stage.wait(60)
    seen = ask(stage, N1, Get("default", "k")).record.context
    assert isinstance(ask(stage, N1, Put("default", "k", JSON, b"8", seen)), Answer)
    answer = ask(stage, N2, Get("default", "k", 3))
    assert [version.value for version in answer.record.versions] == [b"8"]
    assert not replicator(stage, N1).outrun
