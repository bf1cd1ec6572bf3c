"""Namespaces that are made, altered and dropped while nodes run."""

from __future__ import annotations

from typing import Any

import msgspec
from kit.stage import Stage

from kvorum.model.record import JSON
from kvorum.model.request import Answer, Failure, Get, Put, Request
from kvorum.model.topology import NamespaceSettings

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000)
SINGLE = NamespaceSettings(replicas=1, read=1, write=1, timeout_ms=1000)
ALL = (0, 1, 2)


def create(stage: Stage, name: str, settings: NamespaceSettings, nodes: tuple[int, ...]) -> None:
    for node in nodes:
        view = stage.views[node]
        view.change_catalog(view.catalog.creating(name, settings, len(stage.nodes)))


def drop(stage: Stage, name: str, nodes: tuple[int, ...]) -> None:
    for node in nodes:
        view = stage.views[node]
        view.change_catalog(view.catalog.dropping(name))


def asked(stage: Stage, node: int, request: Request) -> Any:
    answers = stage.ask(node, request)
    stage.settle()
    return answers[0]


def test_a_namespace_is_written_and_read_from_when_all_have_it() -> None:
    stage = Stage(3, SETTINGS)
    refused = asked(stage, 0, Put("orders", "k", JSON, b"1"))
    assert isinstance(refused, Failure)
    assert refused.code == "namespace_not_found"
    create(stage, "orders", SETTINGS, ALL)
    assert isinstance(asked(stage, 0, Put("orders", "k", JSON, b"1")), Answer)
    read = asked(stage, 2, Get("orders", "k", r=3))
    assert [version.value for version in read.record.versions] == [b"1"]


def test_a_node_that_has_not_heard_of_it_yet_is_owed_the_writes() -> None:
    stage = Stage(3, SETTINGS)
    create(stage, "orders", SETTINGS, (0, 1))
    key = stage.views[0].place("orders", "k").key
    node = stage.views[0].place("orders", "k").replicas.natural[0]
    writer = node if node != 2 else 0
    assert isinstance(asked(stage, writer, Put("orders", "k", JSON, b"1", seen=())), Answer)
    assert key not in stage.disks[2].durable
    create(stage, "orders", SETTINGS, (2,))
    stage.wait(30)
    assert key in stage.disks[2].durable


def test_a_node_that_has_not_heard_of_it_is_no_replica_that_lacks_the_key() -> None:
    stage = Stage(3, SETTINGS)
    create(stage, "orders", SETTINGS, (0,))
    refused = asked(stage, 0, Get("orders", "k"))
    assert isinstance(refused, Failure)
    assert refused.code == "quorum_not_met"


def test_a_new_rule_is_compared_too() -> None:
    """A namespace with another number of copies gets trees and rounds of its own."""
    stage = Stage(3, SETTINGS)
    stage.wait(5)
    create(stage, "pairs", NamespaceSettings(replicas=2, read=1, write=1, timeout_ms=500), ALL)
    first, second = stage.views[0].place("pairs", "k").replicas.natural
    stage.cut(first, second)
    assert isinstance(asked(stage, first, Put("pairs", "k", JSON, b"1")), Answer)
    stage.kill(first)
    stage.restart(first, crashed=True)
    create(stage, "pairs", NamespaceSettings(replicas=2, read=1, write=1), (first,))
    stage.mend(first, second)
    stage.wait(120)
    key = stage.views[second].place("pairs", "k").key
    assert stage.disks[second].durable.get(key) == stage.disks[first].durable[key]


def test_what_a_dropped_namespace_held_is_not_compared_any_more() -> None:
    stage = Stage(3, SETTINGS)
    create(stage, "orders", SETTINGS, ALL)
    asked(stage, 0, Put("orders", "k", JSON, b"1"))
    key = stage.views[0].place("orders", "k").key
    drop(stage, "orders", ALL)
    for disk in stage.disks:
        disk.delete(key, lambda _arg, _error: None, None)
    stage.settle()
    assert asked(stage, 0, Get("orders", "k")).code == "namespace_not_found"
    stage.wait(120)
    assert all(key not in disk.durable for disk in stage.disks)
    create(stage, "orders", SETTINGS, ALL)
    assert not asked(stage, 0, Get("orders", "k", r=3)).record.versions


def test_an_altered_quorum_holds_from_the_next_request_on() -> None:
    stage = Stage(3, SETTINGS)
    for node in ALL:
        view = stage.views[node]
        altered = msgspec.structs.replace(SETTINGS, write=3)
        view.change_catalog(view.catalog.altering("default", altered, 3))
    stage.kill(2)
    stage.settle()
    assert asked(stage, 0, Put("default", "k", JSON, b"1")).code == "quorum_not_met"
    assert isinstance(asked(stage, 0, Put("default", "k", JSON, b"1", w=2)), Answer)
