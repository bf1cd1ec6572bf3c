"""The counts that nodes keep of their entries, against what a scan of their stores finds."""

from __future__ import annotations

import random

import pytest
from kit.stage import Stage

from kvorum.documents.status import NamespaceCounts
from kvorum.model.catalog import Catalog
from kvorum.model.keys import namespace_of, storage_key
from kvorum.model.record import Event, Record, Version, encode, is_tombstone
from kvorum.model.request import Answer, Delete, Failure, Put
from kvorum.model.topology import NamespaceSettings
from kvorum.replica.counts import Counts
from kvorum.replica.trees import END, START
from kvorum.replication.entry_shares import namespace_counts

SETTINGS = NamespaceSettings.majority(3)
KEYS = [f"k{number}" for number in range(40)]


def do(stage: Stage, node: int, request: Put | Delete) -> None:
    results = stage.ask(node, request)
    stage.settle()
    assert isinstance(results[0], Answer | Failure)


def counts_of(stage: Stage, node: int) -> tuple[int, int]:
    replicator = stage.nodes[node]
    assert replicator is not None
    assert not replicator.counting
    return replicator.entry_counts()["default"].total


def scanned(stage: Stage, node: int) -> tuple[int, int]:
    live = [
        data
        for key, data in stage.disks[node].scan(b"d", b"e", 1 << 30)
        if namespace_of(key) == b"default" and not is_tombstone(key, data)
    ]
    return len(live), sum(map(len, live))


def assert_exact(stage: Stage) -> None:
    for node in range(len(stage.nodes)):
        assert counts_of(stage, node) == scanned(stage, node)


def shares(stage: Stage, up: set[int]) -> list[NamespaceCounts]:
    """What each node tells that is up, all of which are of the same opinion."""
    found = []
    for number, replicator in enumerate(stage.nodes):
        if replicator is not None and stage.views[number].local in up:
            counts = replicator.entry_counts()
            found.append(namespace_counts(stage.views[number], counts, up)["default"])
    return found


@pytest.mark.parametrize("seed", range(5))
def test_they_are_exact_after_writes_deletes_and_restarts(seed: int) -> None:
    rng = random.Random(seed)
    stage = Stage(3, SETTINGS)
    for _ in range(150):
        node, key = rng.randrange(3), rng.choice(KEYS)
        if rng.random() < 0.3:
            do(stage, node, Delete("default", key))
        else:
            do(stage, node, Put("default", key, 1, rng.randbytes(rng.randrange(5))))
    assert_exact(stage)
    stage.kill(1)
    for key in KEYS[:20]:
        do(stage, 0, Put("default", key, 1, b"while one is away"))
    stage.restart(1, crashed=True)
    stage.wait(400)
    assert_exact(stage)
    assert counts_of(stage, 0) == counts_of(stage, 1) == counts_of(stage, 2)


def test_the_shares_of_all_nodes_count_each_entry_once() -> None:
    stage = Stage(5, SETTINGS)
    for key in KEYS:
        do(stage, 0, Put("default", key, 1, b"1234"))
    numbers = {view.local for view in stage.views}
    all_up = shares(stage, numbers)
    assert sum(share.keys for share in all_up) == len(KEYS)
    assert sum(share.held_keys for share in all_up) == 3 * len(KEYS)
    assert sum(share.held_bytes for share in all_up) == 3 * sum(share.bytes for share in all_up)
    without = shares(stage, numbers - {min(numbers)})
    assert sum(share.keys for share in without) == len(KEYS)


@pytest.mark.parametrize("replaced", ["before", "after"])
def test_a_partition_in_which_a_record_was_damaged_is_counted_anew(replaced: str) -> None:
    stage = Stage(3, SETTINGS)
    for key in KEYS:
        do(stage, 0, Put("default", key, 1, b"1234"))
    disk, replicator = stage.disks[1], stage.nodes[1]
    assert replicator is not None
    damaged, _ = disk.scan(b"d", b"e", 1)[0]
    disk.damaged.add(damaged)
    key = damaged.rpartition(b"\0")[2].decode()
    if replaced == "before":
        do(stage, 0, Put("default", key, 1, b"longer than it was"))
    replicator.on_damaged(damaged)
    stage.wait(10)
    do(stage, 0, Put("default", key, 1, b"and longer still"))
    stage.wait(10)
    assert not disk.damaged
    assert_exact(stage)


def record_of(key: bytes, value: bytes) -> bytes:
    dot = Event(1, 1, 1)
    return encode(key, Record((dot,), (Version(dot, 1, value),)))


def storage_keys(namespace: str) -> list[bytes]:
    return [storage_key(bytes([n]) * 16, namespace, b"%d" % n) for n in range(0, 256, 8)]


ONE = Catalog(version=1, namespaces={"a": SETTINGS})
TWO = Catalog(version=2, namespaces={"a": SETTINGS, "b": SETTINGS})


@pytest.mark.parametrize("catalog", [ONE, TWO])
@pytest.mark.parametrize("seed", range(10))
def test_writes_while_a_walk_counts_are_counted_once(catalog: Catalog, seed: int) -> None:
    """Whether of everything, or of one partition."""
    rng, counts, there = random.Random(seed), Counts(catalog, 3), dict[bytes, bytes]()
    keys = [key for name in catalog.namespaces for key in storage_keys(name)]

    def write() -> None:
        key = rng.choice(keys)
        old, new = there.pop(key, b""), rng.choice([b"", record_of(key, bytes(rng.randrange(9)))])
        if old and new:
            counts.grow(key, len(new) - len(old))
        else:
            counts.replace(key, old, new)
        if new:
            there[key] = new

    def walk(start: bytes, end: bytes) -> None:
        while start < end:
            assert counts.counting
            page = sorted(pair for pair in there.items() if start <= pair[0] < end)[:3]
            upto = page[-1][0] + b"\0" if len(page) == 3 else end
            counts.count(page, upto)
            start = upto
            for _ in range(rng.randrange(6)):
                write()

    def check() -> None:
        assert not counts.counting
        for name, each in counts.by_namespace().items():
            held = [data for key, data in there.items() if namespace_of(key).decode() == name]
            assert each.total == (len(held), sum(map(len, held)))

    for _ in range(40):
        write()
    walk(START, END)
    check()
    before = {name: each.total for name, each in counts.by_namespace().items()}
    partition = rng.randrange(8)
    start, end = counts.begin_partition(partition)
    assert {name: each.total for name, each in counts.by_namespace().items()} == before
    walk(start, end)
    check()
    counts.begin()
    walk(START, END)
    check()


def test_the_counts_of_a_dropped_namespace_go_and_the_others_stay() -> None:
    counts = Counts(TWO, 3)
    counts.count([], END)
    for name in "ab":
        for key in storage_keys(name):
            counts.replace(key, b"", record_of(key, b"1"))
    kept = counts.by_namespace()["a"].total
    counts.follow(ONE)
    assert {name: each.total for name, each in counts.by_namespace().items()} == {"a": kept}
    counts.begin()
    counts.follow(TWO)
    assert counts.by_namespace()["b"].total == (0, 0)
