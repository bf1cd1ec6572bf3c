"""The change feed: each change of this node's records, told once and in order."""

from __future__ import annotations

from typing import Any

from kit.stage import Stage

from kvorum.model.record import JSON, decode
from kvorum.model.request import Delete, Put
from kvorum.model.topology import NamespaceSettings

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000)


def test_writes_repairs_and_deletes_are_told_with_what_was_there_before() -> None:
    stage = Stage(3, SETTINGS)
    heard: list[tuple[int, bytes, bytes, bytes]] = []
    replicator = stage.nodes[1]
    assert replicator is not None
    end = replicator.owner.replica.feed.subscribe(lambda *change: heard.append(change))
    for request in (Put("default", "k", JSON, b"1"), Put("default", "k", JSON, b"2")):
        stage.ask(0, request)
        stage.settle()
    stage.ask(0, Delete("default", "k"))
    stage.settle()
    place = stage.views[1].place("default", "k")
    partition = stage.placement.partition(place.token)
    assert {(change[0], change[1]) for change in heard} == {(partition, place.key)}
    befores, afters = [change[2] for change in heard], [change[3] for change in heard]
    assert befores == [b"", *afters[:-1]], "each begins where the one before has ended"
    assert [_values(place.key, after) for after in afters] == [[b"1"], [b"2"], []]
    end()
    stage.ask(0, Put("default", "k", JSON, b"3"))
    stage.settle()
    assert len(heard) == 3


def _values(key: bytes, data: bytes) -> list[bytes]:
    return [version.value for version in decode(key, data).versions]


def test_a_tombstone_that_is_collected_is_told_as_gone() -> None:
    stage = Stage(3, SETTINGS)
    stage.ask(0, Put("default", "k", JSON, b"1"))
    stage.settle()
    stage.ask(0, Delete("default", "k"))
    stage.settle()
    heard: list[Any] = []
    replicator = stage.nodes[2]
    assert replicator is not None
    replicator.owner.replica.feed.subscribe(lambda *change: heard.append(change))
    stage.wait(400)
    place = stage.views[2].place("default", "k")
    assert place.key not in stage.disks[2].durable
    assert [change[3] for change in heard if change[1] == place.key] == [b""]


def test_a_listener_may_leave_while_it_is_told() -> None:
    stage = Stage(1, NamespaceSettings.majority(1))
    replicator = stage.nodes[0]
    assert replicator is not None
    feed = replicator.owner.replica.feed
    heard: list[str] = []

    def once(*_change: object) -> None:
        heard.append("once")
        end()

    end = feed.subscribe(once)
    feed.subscribe(lambda *_change: heard.append("always"))
    for value in (b"1", b"2"):
        stage.ask(0, Put("default", "k", JSON, value))
        stage.settle()
    assert heard == ["once", "always", "always"]
