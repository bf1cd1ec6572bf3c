"""A node that is about to stop hands its part over: no write's outcome becomes unknown by that."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.request import Answer, Delete, Get, Put, Result
from kvorum.model.topology import NamespaceSettings

KEY = "apple"


@pytest.fixture
def stage() -> Stage:
    return Stage(3, NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000))


def owners(stage: Stage) -> tuple[int, ...]:
    return stage.views[0].place("default", KEY).replicas.natural


def put(value: bytes, w: int = 0) -> Put:
    return Put("default", KEY, 1, value, w=w)


def result(stage: Stage, node: int, request: Put | Get | Delete) -> Result:
    answers = stage.ask(node, request)
    stage.settle()
    [answer] = answers
    return answer


def forwards(stage: Stage, node: int) -> int:
    replicator = stage.nodes[node]
    assert replicator is not None
    return replicator.counters()["forwards"]


def leave(stage: Stage, node: int) -> None:
    replicator = stage.nodes[node]
    assert replicator is not None
    replicator.leave()
    stage.settle()


def has_left(stage: Stage, node: int) -> bool:
    replicator = stage.nodes[node]
    assert replicator is not None
    return replicator.left


def test_other_nodes_forward_nothing_more_to_a_node_that_leaves(stage: Stage) -> None:
    first, second, third = owners(stage)
    result(stage, third, put(b"1"))
    assert forwards(stage, third) == 1
    leave(stage, first)
    assert isinstance(result(stage, third, put(b"2")), Answer)
    assert isinstance(result(stage, second, put(b"3")), Answer)
    assert forwards(stage, second) == 0
    stage.kill(first)
    read = result(stage, third, Get("default", KEY))
    assert isinstance(read, Answer)
    assert [version.value for version in read.record.versions] == [b"3"]


def test_a_node_that_leaves_has_others_coordinate_what_its_clients_write(stage: Stage) -> None:
    first, _second, _third = owners(stage)
    leave(stage, first)
    for request in (put(b"1"), Delete("default", KEY)):
        assert isinstance(result(stage, first, request), Answer)
    assert forwards(stage, first) == 2
    read = result(stage, first, Get("default", KEY))
    assert isinstance(read, Answer)
    assert not read.record.versions


def test_it_coordinates_itself_what_no_other_owner_can(stage: Stage) -> None:
    first, second, third = owners(stage)
    leave(stage, first)
    stage.kill(second)
    stage.kill(third)
    assert isinstance(result(stage, first, put(b"1", w=1)), Answer)


def test_it_waits_until_what_was_forwarded_to_it_is_answered(stage: Stage) -> None:
    first, second, third = owners(stage)
    for node in (first, second):
        stage.disks[node].held = True
    answers = stage.ask(third, put(b"1"))
    stage.settle()
    leave(stage, first)
    stage.wait(0.1)
    assert not answers
    assert not has_left(stage, first)
    stage.disks[second].held = False
    stage.disks[second].sync()
    stage.settle()
    assert isinstance(answers[0], Answer)
    stage.wait(0.1)
    assert not has_left(stage, first), "its own copy has not been acknowledged to it"
    stage.disks[first].held = False
    stage.disks[first].sync()
    stage.settle()
    stage.wait(0.1)
    assert has_left(stage, first)


def test_what_is_forwarded_to_it_behind_the_door_goes_to_another_owner(stage: Stage) -> None:
    first, second, third = owners(stage)
    replicator = stage.nodes[first]
    assert replicator is not None
    replicator.shut_door()
    assert isinstance(result(stage, third, put(b"1")), Answer)
    counted = stage.nodes[second]
    assert counted is not None
    assert counted.counters()["writes"] == 1


def test_the_node_that_was_asked_may_be_that_owner(stage: Stage) -> None:
    first, second, third = owners(stage)
    replicator = stage.nodes[first]
    assert replicator is not None
    replicator.shut_door()
    stage.kill(second)
    assert isinstance(result(stage, third, put(b"1")), Answer), "it is an owner itself"
    assert has_left(stage, first) is False, "it only refuses"


def test_a_node_whose_link_is_lost_behind_its_farewell_is_down_at_once(stage: Stage) -> None:
    first, second, _third = owners(stage)
    leave(stage, first)
    stage.cut(first, second)
    replicator = stage.nodes[second]
    assert replicator is not None
    assert first in replicator.suspects
    stage.mend(first, second)
    stage.settle()
    assert first not in replicator.suspects


def test_its_next_life_coordinates_again(stage: Stage) -> None:
    first, _second, third = owners(stage)
    leave(stage, first)
    stage.kill(first)
    result(stage, third, put(b"1"))
    stage.restart(first)
    stage.wait(2.0)
    before = forwards(stage, third)
    assert isinstance(result(stage, third, put(b"2")), Answer)
    assert forwards(stage, third) == before + 1
