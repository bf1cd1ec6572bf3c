"""A node without a local replica: it forwards changes, and reads, lists and locates elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from kit.stage import LifeClock, Line, Stage

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import ConfigError
from kvorum.model.record import JSON
from kvorum.model.request import Answer, Delete, Failure, Get, Listing, Put, Request, Touch
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.replicator import Replicator
from kvorum.wire.messages import Message, Read, Write

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000)
OUTSIDE = 3
"""The number of the node that has no replica; the others are 0 to 2."""


class StageWithGateway(Stage):
    """Three nodes that own everything, and a fourth that owns nothing."""

    def __init__(self, settings: NamespaceSettings = SETTINGS) -> None:
        super().__init__(3, settings)
        clock = LifeClock(self.clock)
        self.view = ClusterView(self.topology, OUTSIDE)
        self.gateway = Replicator(self.view, clock, Line(self, OUTSIDE))
        self.clocks.append(clock)
        self.numbers.append(OUTSIDE)
        self.nodes.append(self.gateway)
        self.gateway.start()
        self.settle()

    def ask_gateway(self, request: Request) -> Any:
        """The answer, once all is done that follows from the request."""
        answers = self.ask(OUTSIDE, request)
        self.settle()
        return answers[0]


def put(key: str, value: bytes) -> Put:
    return Put("default", key, JSON, value)


def test_it_forwards_changes_and_reads_from_the_owners() -> None:
    stage = StageWithGateway()
    written = stage.ask_gateway(put("k", b"1"))
    assert isinstance(written, Answer)
    assert written.created
    read = stage.ask_gateway(Get("default", "k"))
    assert [version.value for version in read.record.versions] == [b"1"]
    assert isinstance(stage.ask_gateway(Touch("default", "k", 60)), Answer)
    deleted = stage.ask_gateway(Delete("default", "k"))
    assert [version.value for version in deleted.record.versions] == [b"1"]
    assert not stage.ask_gateway(Get("default", "k")).record.versions


def test_it_lists_and_locates() -> None:
    stage = StageWithGateway()
    for key in "abc":
        stage.ask_gateway(put(key, b"1"))
    (page,) = stage.scan(OUTSIDE, b"", 10)
    assert isinstance(page, Listing)
    assert {key for key, _ in page.entries} == set("abc")
    located: list[Any] = []
    stage.gateway.locate("default", "a", lambda place, held: located.append((place, held)))
    stage.settle()
    ((place, held),) = located
    assert set(held) == set(place.replicas.natural) == {0, 1, 2}
    assert all(record is not None and record.versions for record in held.values())


def test_it_goes_on_while_a_quorum_is_up_and_says_so_when_none_is() -> None:
    stage = StageWithGateway()
    stage.ask_gateway(put("k", b"1"))
    stage.kill(0)
    stage.settle()
    assert isinstance(stage.ask_gateway(put("k", b"2")), Answer)
    stage.kill(1)
    stage.settle()
    refused = stage.ask_gateway(Get("default", "k"))
    assert isinstance(refused, Failure)
    assert refused.code == "quorum_not_met"
    stage.kill(2)
    stage.settle()
    refused = stage.ask_gateway(put("k", b"3"))
    assert (refused.code, refused.outcome) == ("quorum_not_met", "none")


def test_it_repairs_replicas_that_differ() -> None:
    stage = StageWithGateway()
    stage.ask_gateway(put("k", b"1"))
    stage.cut(0, 2)
    stage.cut(1, 2)
    stage.ask_gateway(put("k", b"2"))
    before = stage.disks[2].durable.copy()
    read = stage.ask_gateway(Get("default", "k", r=3))
    assert [version.value for version in read.record.versions] == [b"2"]
    stage.settle()
    assert stage.disks[2].durable != before


@pytest.mark.parametrize(
    "message",
    [Read(1, b"d" + bytes(8) + b"default\0k", b""), Write(1, b"d" + bytes(8) + b"default\0k", b"")],
)
def test_it_serves_no_records(message: Message) -> None:
    stage = StageWithGateway()
    stage.gateway.on_message(0, message)
    assert not stage.posts
    with pytest.raises(ConfigError, match="Node number 3 keeps no copy of the data"):
        _ = stage.gateway.recovering
