"""Scans: every live entry once, whatever the page size and whoever lacks what."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.stage import Stage

from kvorum.model.hash_tags import hash_tag
from kvorum.model.keys import TOKEN_HASHES, partition_of, storage_key
from kvorum.model.request import Answer, Delete, Failure, Get, Listing, Put, Selection, Unreadable
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.vouching import Vouching
from kvorum.wire.batches import decode_batch
from kvorum.wire.messages import Message, Page, Scan

SETTINGS = NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000)


def all_entries(stage: Stage, node: int, limit: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    cursor = b""
    while True:
        (page,) = stage.scan(node, cursor, limit)
        assert isinstance(page, Listing), page
        assert len(page.entries) <= limit
        for key, record in page.entries:
            assert key not in found
            found[key] = record.live_versions()[0].value
        cursor = page.cursor
        if not cursor:
            return found


def put(stage: Stage, node: int, key: str, value: bytes) -> None:
    answers = stage.ask(node, Put("default", key, 1, value))
    stage.settle()
    assert isinstance(answers[0], Answer), answers


@settings(max_examples=15, deadline=None)
@given(
    keys=st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 99), max_size=30),
    limit=st.integers(1, 40),
    asked=st.integers(0, 3),
)
def test_a_scan_finds_every_entry_once(keys: dict[str, int], limit: int, asked: int) -> None:
    stage = Stage(4, SETTINGS)
    for key, value in keys.items():
        put(stage, value % 4, key, b"%d" % value)
    deleted = [key for key, value in keys.items() if value % 5 == 0]
    for key in deleted:
        stage.ask(1, Delete("default", key))
    stage.settle()
    expected = {key: b"%d" % value for key, value in keys.items() if value % 5}
    assert all_entries(stage, asked, limit) == expected


def test_a_scan_merges_what_one_replica_missed() -> None:
    stage = Stage(3, SETTINGS)
    for i in range(20):
        put(stage, 0, f"k{i}", b"1")
    stage.kill(2)
    for i in range(20):
        put(stage, 0, f"k{i}", b"2")
    assert set(all_entries(stage, 0, 7).values()) == {b"2"}
    # Back, but with its hints kept from it: the others still know better.
    stage.holds |= {(0, 2), (1, 2)}
    stage.restart(2)
    stage.holds.clear()
    stage.cut(0, 2)
    assert set(all_entries(stage, 1, 7).values()) == {b"2"}


def test_a_scan_without_a_quorum_says_so() -> None:
    stage = Stage(3, SETTINGS)
    stage.kill(1)
    stage.kill(2)
    (page,) = stage.scan(0, b"", 10)
    assert isinstance(page, Failure)
    assert (page.code, page.outcome) == ("quorum_not_met", "none")


def test_a_scan_that_runs_out_of_time_gives_what_it_has() -> None:
    stage = Stage(3, SETTINGS)
    for i in range(40):
        put(stage, 0, f"k{i}", b"%d" % i)
    replicator = stage.nodes[0]
    assert replicator is not None
    pages: list[Listing | Failure] = []
    replicator.scan(Selection("default"), pages.append)
    for _ in range(400):  # some partitions far, then the others fall silent
        stage.step()
    stage.holds |= {(1, 0), (2, 0)}
    stage.wait(2)
    (first,) = pages
    assert isinstance(first, Listing)
    assert 0 < len(first.entries) < 40
    stage.holds.clear()
    replicator.scan(Selection("default", cursor=first.cursor), pages.append)
    stage.settle()
    rest = pages[1]
    assert isinstance(rest, Listing)
    assert sorted(key for key, _ in first.entries + rest.entries) == sorted(
        f"k{i}" for i in range(40)
    )


def test_a_page_is_bounded_in_bytes_and_says_that_there_is_more() -> None:
    stage = Stage(3, SETTINGS)
    for i in range(12):
        put(stage, 0, f"k{i}", b'"%s"' % (b"x" * 1_000_000))
    replica = stage.nodes[1]
    assert replica is not None
    start, found, more = b"d" + bytes(8), 0, True
    while more:
        replica.on_message(0, Scan(7, start, b"e", 1000))
        (_, _, data) = stage.posts.pop()
        assert len(data) < 13_000_000
        (page,) = decode_batch(data)
        assert isinstance(page, Page)
        found += len(page.pairs)
        more = bool(page.upto)
        start = page.upto + b"\0"
    assert found == 12


def filled(count: int = 40) -> Stage:
    stage = Stage(3, SETTINGS)
    for i in range(count):
        put(stage, 0, f"k{i}", b"%d" % i)
    return stage


def place_of(stage: Stage, key: str) -> bytes:
    return next(at for at in stage.disks[0].durable if at.endswith(b"\0" + key.encode()))


def listed(stage: Stage, node: int, limit: int) -> tuple[set[str], list[Unreadable]]:
    """All keys of a scan, and what it could not read."""
    keys: set[str] = set()
    unreadable: list[Unreadable] = []
    cursor = b""
    while True:
        (page,) = stage.scan(node, cursor, limit)
        assert isinstance(page, Listing), page
        keys |= {key for key, _ in page.entries}
        unreadable += [one for one in page.unreadable if one not in unreadable]
        cursor = page.cursor
        if not cursor:
            return keys, unreadable


ALL: Final = {f"k{i}" for i in range(40)}


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("damaged", range(3))
def test_where_one_replica_is_damaged_the_others_speak(
    damaged: int, asked: int, limit: int
) -> None:
    stage = filled()
    stage.disks[damaged].damaged |= {place_of(stage, "k3"), place_of(stage, "k8")}
    assert listed(stage, asked, limit) == (ALL, [])


@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("asked", range(3))
@pytest.mark.parametrize("sound", range(3))
def test_what_too_few_replicas_can_speak_for_is_named(sound: int, asked: int, limit: int) -> None:
    stage = filled()
    damaged = [node for node in range(3) if node != sound]
    for node in damaged:
        stage.disks[node].damaged.add(place_of(stage, "k3"))
    keys, (one,) = listed(stage, asked, limit)
    assert keys == ALL - {"k3"}
    assert (one.key, one.nodes) == ("k3", [f"n{node + 1}" for node in damaged])


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_where_nobody_knows_the_key_its_place_is_told(limit: int) -> None:
    stage = filled()
    place = place_of(stage, "k3")
    for disk in stage.disks:
        disk.damaged.add(place)
    keys, (one,) = listed(stage, 1, limit)
    assert keys == ALL - {"k3"}
    assert one == Unreadable(partition_of(place[1:], 8), ["n1", "n2", "n3"], token=place[1:9].hex())


def test_an_older_copy_is_not_given_out_for_a_newer_one() -> None:
    stage = filled(1)
    stage.cut(0, 2)
    stage.cut(1, 2)
    put(stage, 0, "k0", b"newer")  # on n1 and n2
    stage.disks[0].damaged.add(place_of(stage, "k0"))
    stage.cut(0, 1)
    stage.mend(1, 2)
    stage.holds |= {(1, 2), (2, 1)}
    stage.kill(1)
    stage.holds.clear()
    stage.mend(0, 2)
    stage.settle()
    keys, unreadable = listed(stage, 2, 10)
    assert keys == set()
    assert [one.key for one in unreadable] == ["k0"]


def test_a_copy_that_is_unverified_does_not_count() -> None:
    stage = filled()
    place = place_of(stage, "k3")
    for node in (0, 1):
        replicator = stage.nodes[node]
        assert replicator is not None
        replicator.owner.replica.unverified.begin(place)
    keys, unreadable = listed(stage, 2, 7)
    assert keys == ALL - {"k3"}
    assert [one.key for one in unreadable] == ["k3"]


def test_a_replica_that_refuses_is_not_asked_again() -> None:
    stage = filled()
    replicator = stage.nodes[1]
    assert replicator is not None
    replicator.owner.replica.recovering = True
    assert listed(stage, 0, 7) == (ALL, [])
    assert listed(stage, 1, 7) == (ALL, [])
    stage.kill(2)
    (page,) = stage.scan(0, b"", 10)
    assert isinstance(page, Failure)
    assert page.code == "quorum_not_met"


@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 30), st.integers(1, 6)), max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 4),
)
def test_vouching_is_counting_who_can_speak(
    silent: list[list[tuple[int, int]]], needed: int
) -> None:
    def key(number: int) -> bytes:
        return b"d" + bytes([number])

    ranges = {
        node: [(key(first), key(first + size)) for first, size in each]
        for node, each in enumerate(silent)
    }
    needed = min(needed, len(ranges))
    vouching = Vouching(needed, ranges)
    found = list(vouching.unvouched())
    for number in range(40):
        quiet = [
            node
            for node, each in enumerate(silent)
            if any(first <= number < first + size for first, size in each)
        ]
        enough = len(silent) - len(quiet) >= needed
        assert vouching.silent(key(number)) == quiet
        assert vouching.vouches(key(number)) == enough
        within = [one.silent for one in found if one.start <= key(number) < one.end]
        assert within == ([] if enough else [quiet])


def test_a_forged_cursor_is_refused() -> None:
    stage = Stage(3, SETTINGS)
    (page,) = stage.scan(0, b"nonsense", 10)
    assert isinstance(page, Failure)
    assert page.code == "bad_request"


def test_locate_tells_who_has_which_version() -> None:
    stage = Stage(3, SETTINGS)
    put(stage, 0, "k", b"1")
    stage.kill(2)
    put(stage, 0, "k", b"2")
    answers = []
    replicator = stage.nodes[0]
    assert replicator is not None
    replicator.locate("default", "k", lambda _place, held: answers.append(held))
    stage.settle()
    (held,) = answers
    assert held[2] is None
    records = [held[0], held[1]]
    assert [r.versions[0].value for r in records if r is not None] == [b"2", b"2"]
    asked = stage.ask(0, Get("default", "k"))
    stage.settle()
    assert isinstance(asked[0], Answer)


# Prefixes, keys and counts


def pages_of(stage: Stage, node: int, selection: Selection) -> list[Listing]:
    """All pages of a listing through `node`."""
    replicator = stage.nodes[node]
    assert replicator is not None
    pages: list[Listing] = []
    while True:
        answers: list[Listing | Failure] = []
        replicator.scan(selection, answers.append)
        stage.settle()
        (page,) = answers
        assert isinstance(page, Listing), page
        pages.append(page)
        if not page.cursor:
            return pages
        selection = msgspec.structs.replace(selection, cursor=page.cursor, start_after="")


def keys_of(stage: Stage, node: int, selection: Selection) -> list[str]:
    pages = pages_of(stage, node, msgspec.structs.replace(selection, give="keys"))
    assert all(len(page.keys) <= selection.limit for page in pages)
    return [key for page in pages for key in page.keys]


PARTS: Final = st.sampled_from(["a", "b", "ab", "{x}", "{x}a", "{y}", "{", "}", "{}"])
KEYS: Final = st.lists(PARTS, min_size=1, max_size=4).map("".join)


@settings(max_examples=40, deadline=None)
@given(
    keys=st.dictionaries(KEYS, st.integers(0, 9), max_size=30),
    prefix=st.lists(PARTS, max_size=2).map("".join),
    limit=st.integers(1, 12),
    asked=st.integers(0, 3),
    missed=st.booleans(),
)
def test_a_listing_is_what_a_dict_would_give(
    keys: dict[str, int], prefix: str, limit: int, asked: int, missed: bool
) -> None:
    stage = Stage(4, SETTINGS)
    for number, (key, value) in enumerate(keys.items()):
        if missed and number == len(keys) // 2:
            stage.cut(0, 1)
        put(stage, value % 4, key, b"%d" % value)
        if value == 0:
            stage.ask(2, Delete("default", key))
            stage.settle()
    expected = {key for key, value in keys.items() if value and key.startswith(prefix)}
    selection = Selection("default", prefix, limit=limit)
    found = keys_of(stage, asked, selection)
    assert len(found) == len(expected)
    assert set(found) == expected
    if hash_tag(prefix.encode()) is not None:
        assert found == sorted(expected, key=str.encode)
    counted = pages_of(stage, asked, msgspec.structs.replace(selection, give="count"))
    assert sum(page.count for page in counted) == len(expected)
    entries = [entry for page in pages_of(stage, asked, selection) for entry in page.entries]
    assert [key for key, _ in entries] == found
    assert all(record.versions[0].value == b"%d" % keys[key] for key, record in entries)
    for number, key in enumerate(found):
        after = msgspec.structs.replace(selection, start_after=key)
        assert keys_of(stage, asked, after) == found[number + 1 :]


def scans(stage: Stage) -> list[Scan]:
    """The questions of a listing that were sent from now on."""
    seen: list[Scan] = []
    send = stage.post

    def post(sender: int, node: int, message: Message) -> None:
        if isinstance(message, Scan):
            seen.append(message)
        send(sender, node, message)

    stage.post = post  # type: ignore[method-assign]
    return seen


def test_where_replicas_agree_only_the_hash_is_sent() -> None:
    stage = filled()
    stage.settle()
    asked = scans(stage)
    assert set(keys_of(stage, 0, Selection("default"))) == ALL
    assert len(asked) == 256
    assert all(question.hash for question in asked)


def test_a_prefix_with_a_tag_asks_the_owners_of_one_partition_once() -> None:
    stage = filled()
    put(stage, 0, "cart:{7}:b", b"1")
    put(stage, 0, "cart:{7}:a", b"1")
    asked = scans(stage)
    assert keys_of(stage, 0, Selection("default", "cart:{7}")) == ["cart:{7}:a", "cart:{7}:b"]
    assert len(asked) == 1


def test_without_hash_tags_braces_are_letters_like_others() -> None:
    stage = Stage(4, msgspec.structs.replace(SETTINGS, hash_tags=False))
    keys = {f"{{7}}:{i}" for i in range(20)}
    for key in keys:
        put(stage, 0, key, b"1")
    assert set(keys_of(stage, 1, Selection("default", "{7}:"))) == keys
    token_hash = TOKEN_HASHES["murmur3"]
    assert {at for at in stage.disks[0].durable if b"{7}" in at} <= {
        storage_key(token_hash(key.encode(), 0), "default", key.encode()) for key in keys
    }


def test_a_replica_that_lost_a_delete_does_not_bring_the_key_back() -> None:
    stage = filled()
    stage.cut(0, 2)
    stage.cut(1, 2)
    stage.ask(0, Delete("default", "k3"))
    stage.settle()
    stage.mend(1, 2)
    stage.holds |= {(1, 2), (2, 1)}
    stage.kill(0)
    stage.holds.clear()
    stage.settle()
    assert set(keys_of(stage, 2, Selection("default"))) == ALL - {"k3"}


def test_keys_that_have_expired_are_not_listed() -> None:
    stage = filled()
    stage.ask(0, Put("default", "mortal", 1, b"1", ttl=5))
    stage.settle()
    assert set(keys_of(stage, 1, Selection("default"))) == ALL | {"mortal"}
    stage.wait(5)
    assert set(keys_of(stage, 1, Selection("default"))) == ALL


@pytest.mark.parametrize("prefix", ["", "k{3}"])
def test_a_cursor_of_another_kind_of_listing_is_refused(prefix: str) -> None:
    stage = filled()
    cursor = b"k" + b"any" if not prefix else b"d" + bytes(8)
    replicator = stage.nodes[0]
    assert replicator is not None
    answers: list[Listing | Failure] = []
    replicator.scan(Selection("default", prefix, cursor=cursor), answers.append)
    stage.settle()
    (page,) = answers
    assert isinstance(page, Failure)
    assert page.code == "bad_request"


def test_the_keys_of_a_large_tag_come_in_pages_in_order() -> None:
    stage = Stage(3, SETTINGS)
    keys = [f"{{t}}{i:04}" for i in range(1500)]
    for key in reversed(keys):
        stage.ask(0, Put("default", key, 1, b"1"))
    stage.settle()
    assert keys_of(stage, 0, Selection("default", "{t}", limit=100)) == keys
    entries = pages_of(stage, 1, Selection("default", "{t}", limit=1000))
    assert [key for page in entries for key, _ in page.entries] == keys
