"""What a write costs and risks on its way to the store: one lookup of its key, and nothing changed
by a record that is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from kit.stage import Stage

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.request import Answer, Put
from kvorum.model.topology import NamespaceSettings
from kvorum.replica.local_replica import LocalReplica

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2)


def replica_of(stage: Stage, node: int) -> LocalReplica:
    replicator = stage.nodes[node]
    assert replicator is not None
    return replicator.owner.replica


def put(stage: Stage, value: bytes) -> None:
    results = stage.ask(0, Put("default", "k", 1, value))
    stage.settle()
    assert isinstance(results[0], Answer)


class CountingDisk:
    """In front of a disk: counts how often a key is looked up."""

    def __init__(self, disk: Any) -> None:
        self._disk = disk
        self.lookups: Counter[bytes] = Counter()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def get(self, key: bytes) -> Any:
        self.lookups[key] += 1
        return self._disk.get(key)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> Any:
        self.lookups[key] += 1
        return self._disk.find(key, then, arg)


def test_a_write_looks_its_key_up_once_on_each_node() -> None:
    stage = Stage(3, SETTINGS)
    place = stage.views[0].place("default", "k")
    for value in (b"1", b"2"):
        disks = [CountingDisk(disk) for disk in stage.disks]
        for node, disk in enumerate(disks):
            replica_of(stage, node).store = disk
        put(stage, value)
        assert [disk.lookups[place.key] for disk in disks] == [1, 1, 1]


@pytest.mark.parametrize("way", ["put", "merge_in"])
@pytest.mark.parametrize("damage", ["flipped", "of another key"])
def test_a_record_that_fails_its_check_is_refused_through_done_and_changes_nothing(
    way: str, damage: str
) -> None:
    stage = Stage(3, SETTINGS)
    put(stage, b"1")
    replica, disk = replica_of(stage, 0), stage.disks[0]
    key = stage.views[0].place("default", "k").key
    held = disk.durable[key]
    other = stage.views[0].place("default", "other").key
    told: list[object] = []
    replica.feed.subscribe(lambda *change: told.append(change))
    answers: list[StorageError | None] = []

    def done(_arg: object, error: StorageError | None) -> None:
        answers.append(error)

    data = held if damage == "of another key" else held[:-1] + bytes([held[-1] ^ 1])
    target = other if damage == "of another key" else key
    before = disk.get(target) or b""
    if way == "put":
        replica.put(target, before, data, done, None)
    else:
        replica.merge_in(target, data, done, None)
    assert answers == [], "it is told later"
    stage.settle()
    assert isinstance(answers[0], CorruptRecord)
    assert len(answers) == 1
    assert told == []
    assert disk.get(target) == (before or None)
