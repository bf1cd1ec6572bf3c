"""Records that are too long for one frame, on a network where they take their time."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.keys import TOKEN_HASHES, storage_key
from kvorum.model.record import EMPTY, JSON, Event, encode, write
from kvorum.model.topology import NamespaceSettings
from kvorum.repair.reconciliation import Reconciliation
from kvorum.replica.pages import read_page
from kvorum.replica.trees import END, START
from kvorum.wire.messages import Have, Write

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2)
LONG = 24 << 20
LONG_S = 9.0
"""Longer than a short message is waited for, and as long as 24 MiB may take."""
ROUND_S = 60.0


def place(key: str) -> bytes:
    return storage_key(TOKEN_HASHES["murmur3"](key.encode(), 0), "default", key.encode())


def long_record(key: bytes) -> bytes:
    value = b'"' + bytes(LONG) + b'"'
    return encode(key, write(EMPTY, (), Event(7 << 20 | 1, 1, 1000), JSON, value))


def stage_with(records: dict[bytes, bytes], owed_to: str = "") -> Stage:
    """The first of three nodes has `records`, and notes that it owes them to another."""
    stage = Stage(3, SETTINGS)
    stage.long_s = LONG_S
    stage.kill(0)
    notes = {b"h" + owed_to.encode() + b"\0" + key: b"" for key in records if owed_to}
    stage.disks[0].durable |= records | notes
    stage.disks[0].crash()
    stage.restart(0)
    return stage


def test_hints_drain_and_none_is_sent_again_and_again() -> None:
    records = {key: long_record(key) for key in map(place, "abc")}
    stage = stage_with(records, owed_to="n3")
    stage.wait(4 * LONG_S)
    assert stage.disks[0].scan(b"h", b"i", 10) == []
    assert {key: stage.disks[2].get(key) for key in records} == records
    under_way = len(stage.long_ones)
    assert under_way <= 6 * len(records), "each pair of nodes compares too, from both sides"
    stage.wait(4 * LONG_S)
    assert len(stage.long_ones) == under_way


def test_comparing_brings_it_to_those_that_lack_it() -> None:
    key = place("a")
    stage = stage_with({key: long_record(key)})
    stage.wait(2 * ROUND_S)
    assert [disk.get(key) for disk in stage.disks] == [long_record(key)] * 3
    kinds = {type(message) for message in stage.long_ones}
    assert kinds <= {Have, Write}
    assert len(stage.long_ones) <= 4, "each pair has met it once, and in no round again"


def test_a_page_ends_with_the_record_that_fills_it() -> None:
    records = {key: long_record(key) for key in map(place, "abc")}
    stage = stage_with(records)
    replicator = stage.nodes[0]
    assert replicator is not None
    first, *others = sorted(records)
    page = read_page(replicator.owner.replica, START, END, 100)
    assert [key for key, _ in page.pairs] == [first]
    assert page.more
    page = read_page(replicator.owner.replica, others[-1], END, 100)
    assert [key for key, _ in page.pairs] == others[-1:]


@pytest.mark.parametrize("theirs", [b"", b"not known"], ids=["given", "fetched"])
def test_a_reconciliation_waits_for_as_long_as_it_takes(theirs: bytes) -> None:
    key = place("a")
    stage = stage_with({key: long_record(key)})
    stage.wait(1)
    asker = stage.nodes[1 if theirs else 0]
    assert asker is not None
    ended: list[bool] = []
    peer = 0 if theirs else 2
    Reconciliation(
        asker.owner.replica,
        asker._operations,
        peer,
        key,
        theirs,
        lambda _it, equal: ended.append(equal),
    ).start()
    stage.wait(LONG_S - 1)
    assert ended == []
    stage.wait(2)
    assert ended == [True]
