"""A replica that lost a record to damage answers for its token only once that is verified."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.record import JSON
from kvorum.model.request import Answer, Failure, Get, Put, Result
from kvorum.model.topology import NamespaceSettings

N1, N2, N3 = range(3)
OLD, NEW = b'"old"', b'"new"'


@pytest.fixture
def stage() -> Stage:
    """n1 and n2 have acknowledged the new value, n3 has the old one; n1's record is damaged,
    and n1 can reach n3 only.
    """
    stage = Stage(3, NamespaceSettings(replicas=3, read=2, write=2))
    assert isinstance(put(stage, N1, OLD), Answer)
    stage.cut(N1, N3)
    stage.cut(N2, N3)
    assert isinstance(put(stage, N1, NEW), Answer)
    damage(stage, N1)
    stage.cut(N1, N2)
    stage.mend(N1, N3)
    stage.wait(10)
    return stage


def put(stage: Stage, node: int, value: bytes) -> Result:
    answers = stage.ask(node, Put("default", "k", JSON, value))
    stage.wait(5)
    return answers[0]


def get(stage: Stage, node: int, read: int = 2) -> Result:
    answers = stage.ask(node, Get("default", "k", read))
    stage.wait(5)
    return answers[0]


def damage(stage: Stage, node: int) -> None:
    key = the_key(stage)
    stage.disks[node].damaged.add(key)
    replicator = stage.nodes[node]
    assert replicator is not None
    replicator.on_damaged(key)


def the_key(stage: Stage) -> bytes:
    (key,) = [key for key in stage.disks[N1].durable if key.startswith(b"d")]
    return key


def values(result: Result) -> list[bytes]:
    assert isinstance(result, Answer), result
    return [version.value for version in result.record.versions]


def test_what_replaced_it_is_not_served(stage: Stage) -> None:
    assert the_key(stage) not in stage.disks[N1].damaged
    for node in (N1, N3):
        answer = get(stage, node)
        assert isinstance(answer, Failure)
        assert answer.outcome == "none"
    assert values(get(stage, N3, read=1)) == [OLD]


def test_nothing_is_written_on_it(stage: Stage) -> None:
    assert isinstance(put(stage, N1, b'"newest"'), Failure)


def test_a_restart_does_not_forget_it(stage: Stage) -> None:
    stage.kill(N1)
    stage.restart(N1)
    stage.wait(10)
    assert isinstance(get(stage, N3), Failure)


def test_compared_with_all_it_answers_again(stage: Stage) -> None:
    stage.mend(N1, N2)
    stage.wait(10)
    stage.cut(N1, N2)
    assert values(get(stage, N1, read=1)) == [NEW]
    assert values(get(stage, N3)) == [NEW]


def test_unverified_owners_do_not_wait_for_each_other() -> None:
    stage = Stage(3, NamespaceSettings(replicas=3, read=3, write=3))
    assert isinstance(put(stage, N1, NEW), Answer)
    damage(stage, N1)
    damage(stage, N2)
    stage.wait(10)
    assert values(get(stage, N2, read=3)) == [NEW]


def test_alone_a_node_has_no_unverified_tokens() -> None:
    stage = Stage(1, NamespaceSettings(replicas=1, read=1, write=1))
    assert isinstance(put(stage, N1, OLD), Answer)
    damage(stage, N1)
    stage.disks[N1].damaged.clear()
    assert values(get(stage, N1, read=1)) == [OLD]
