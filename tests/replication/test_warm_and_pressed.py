"""What a node does while its records are cold, and while its store cannot keep up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kit.stage import Stage

from kvorum.model.request import Answer, Delete, Failure, Get, Put, Request, Result
from kvorum.model.topology import NamespaceSettings
from kvorum.storage.store import COLD, Cold

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2)


class ColdDisk:
    """In front of a disk: nothing is at hand until the test fetches it."""

    def __init__(self, disk: Any) -> None:
        self._disk = disk
        self.waiting: list[tuple[Callable[[Any], object], Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> Cold:
        self.waiting.append((then, arg))
        return COLD

    def fetch(self) -> None:
        waiting, self.waiting = self.waiting, []
        for then, arg in waiting:
            then(arg)


def asked(stage: Stage, request: Request) -> Result:
    results = stage.ask(0, request)
    stage.settle()
    return results[0]


def chilled(stage: Stage) -> list[ColdDisk]:
    disks = [ColdDisk(disk) for disk in stage.disks]
    for replicator, disk in zip(stage.nodes, disks, strict=True):
        assert replicator is not None
        replicator.owner.replica.store = disk
    return disks


@pytest.mark.parametrize(
    "request_", [Get("default", "k", r=3), Put("default", "k", 1, b"2"), Delete("default", "k")]
)
def test_a_request_for_a_cold_key_waits_for_it_and_holds_up_nothing(request_: Request) -> None:
    stage = Stage(3, SETTINGS)
    assert isinstance(asked(stage, Put("default", "k", 1, b"1")), Answer)
    disks = chilled(stage)
    results = stage.ask(0, request_)
    while not results:
        stage.settle()
        waiting = [disk for disk in disks if disk.waiting]
        assert waiting or results
        for disk in waiting:
            disk.fetch()
        stage.settle()
    assert isinstance(results[0], Answer), results[0]


@pytest.mark.parametrize("request_", [Put("default", "k", 1, b"2"), Delete("default", "k")])
def test_a_pressed_node_refuses_writes_and_goes_on_reading(request_: Request) -> None:
    stage = Stage(3, SETTINGS)
    assert isinstance(asked(stage, Put("default", "k", 1, b"1")), Answer)
    before = [dict(disk.durable) for disk in stage.disks]
    for disk in stage.disks:
        disk.pressed = True
    refusal = asked(stage, request_)
    assert isinstance(refusal, Failure)
    assert (refusal.code, refusal.outcome) == ("overloaded", "none")
    assert [disk.durable for disk in stage.disks] == before
    found = asked(stage, Get("default", "k"))
    assert isinstance(found, Answer)
    assert [version.value for version in found.record.versions] == [b"1"]
    for disk in stage.disks:
        disk.pressed = False
    assert isinstance(asked(stage, request_), Answer)


def test_a_pressed_replica_is_owed_what_it_refused() -> None:
    stage = Stage(3, SETTINGS)
    for number in range(30):
        stage.disks[2].pressed = True
        results = stage.ask(0, Put("default", f"k{number}", 1, b"1"))
        stage.settle()
        stage.disks[2].pressed = False
        if isinstance(results[0], Failure):
            assert results[0].code == "overloaded"  # node 2 was to coordinate it
    assert len(stage.disks[2].durable) < len(stage.disks[0].durable)
    stage.wait(30)
    records = [{k: v for k, v in disk.durable.items() if k[:1] == b"d"} for disk in stage.disks]
    assert records[2] == records[0] == records[1]
    assert records[0]
