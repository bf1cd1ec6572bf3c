"""Entries of data format 3, pairs of the engine, are flushed in the place of what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from kit.journal_disks import StoreDouble
from kit.journals import CLUSTER, HINTS, RECORDS, Pairs, contents, seal_of, value_for
from kit.vaults import NOW_MS, not_damaged, rows

from kvorum.journal.entries import Entries, OpenEntries, SealedEntries
from kvorum.journal.former_entries import END, START, file_former_entries, number_of
from kvorum.journal.memtable import Change
from kvorum.sealing.seal import Seal
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.storage.store import FlushTarget

A, B, C, D = RECORDS[:4]
HINT = HINTS[0]
FILED = {A: value_for(A, 1), D: value_for(D, 1)}
WRITTEN: tuple[list[Change], ...] = (
    [(A, value_for(A, 1)), (B, value_for(B, 1))],
    [(HINT, b"hint"), (A, value_for(A, 2))],
    [(D, None), (B, value_for(B, 2))],
    [(B, None), (C, value_for(C, 1))],
)
WANTED = [*sorted({A: value_for(A, 2), C: value_for(C, 1)}.items()), (HINT, b"hint")]


def entry_key(number: int) -> bytes:
    return START + number.to_bytes(8)


class Stack(NamedTuple):
    store: StoreDouble
    below: FlushTarget
    entries: Entries

    def file(self) -> str | None:
        lives = ShredHorizon(self.store)
        return file_former_entries(self.store, self.below, self.entries, lives)

    @property
    def left(self) -> Pairs:
        return self.store.scan(START, END, 10_000)


def stack_on(content: Mapping[bytes, bytes], seal: Seal | None) -> Stack:
    store = StoreDouble(content)
    if seal is None:
        return Stack(store, store, OpenEntries())
    below = SealedStore(store, seal, not_damaged, rows())
    return Stack(store, below, SealedEntries(seal, CLUSTER))


def former(seal: Seal | None, written: Iterable[list[Change]] = WRITTEN, first: int = 7) -> Stack:
    """A store of that format: some pairs are flushed, and these entries are left."""
    stack = stack_on({}, seal)
    for key, value in FILED.items():
        stack.below.write(key, value)
    for number, changes in enumerate(written, first):
        stack.store.write(entry_key(number), stack.entries.seal(number, changes))
    return stack_on(stack.store.content, seal)


@pytest.fixture(params=["open", "sealed"])
def seal(request: pytest.FixtureRequest, vault_directory: Path) -> Seal | None:
    return seal_of(vault_directory) if request.param == "sealed" else None


def test_they_are_filed_in_their_order_and_are_gone(seal: Seal | None) -> None:
    stack = former(seal)
    assert stack.file() is None
    assert contents(stack.below) == WANTED
    assert stack.left == []


def test_a_store_without_any_is_left_as_it_is(seal: Seal | None) -> None:
    stack = former(seal, [])
    assert stack.file() is None
    assert stack.store.writes == []


def test_each_is_deleted_behind_what_it_held(seal: Seal | None) -> None:
    stack = former(seal)
    stack.file()
    deletions = [number for number, (key, _) in enumerate(stack.store.writes) if key[:1] == START]
    assert [number_of(stack.store.writes[at][0]) for at in deletions] == [7, 8, 9, 10]
    assert deletions == [2, 5, 8, 11]


def test_a_crash_at_any_point_repeats_it_harmlessly(seal: Seal | None) -> None:
    first = former(seal)
    first.file()
    for written in range(len(first.store.writes) + 1):
        second = stack_on(first.store.left(written), seal)
        assert second.file() is None
        assert (contents(second.below), second.left) == (WANTED, [])
        for again in range(len(second.store.writes) + 1):
            third = stack_on(second.store.left(again), seal)
            assert third.file() is None
            assert (contents(third.below), third.left) == (WANTED, [])


def test_many_are_filed_page_by_page() -> None:
    written: list[list[Change]] = [[(A, value_for(A, number))] for number in range(200)]
    stack = former(None, written, 1)
    assert stack.file() is None
    assert stack.store.get(A) == value_for(A, 199)
    assert stack.left == []


def test_a_damaged_one_is_told_and_the_rest_is_filed(seal: Seal | None) -> None:
    stack = former(seal)
    content = dict(stack.store.content)
    content[entry_key(8)] = content[entry_key(8)][:-1]
    stack = stack_on(content, seal)
    assert "an entry of the journal that opens" in str(stack.file())
    rest = sorted({A: value_for(A, 1), C: value_for(C, 1)}.items())
    assert (contents(stack.below), stack.left) == (rest, [])
    assert stack.file() is None


@pytest.mark.parametrize("missing", [{8}, {8, 9}])
def test_a_gap_is_told_and_the_rest_is_filed(seal: Seal | None, missing: set[int]) -> None:
    content = dict(former(seal).store.content)
    for number in missing:
        del content[entry_key(number)]
    stack = stack_on(content, seal)
    assert stack.file() == f"entries {min(missing)} to {max(missing)} are missing"
    assert stack.below.get(C) == value_for(C, 1)
    assert stack.left == []


def test_those_that_were_filed_before_are_not_missed(seal: Seal | None) -> None:
    stack = former(seal)
    content = dict(stack.store.content)
    del content[entry_key(7)]
    assert stack_on(content, seal).file() is None


def test_what_former_lives_have_left_is_left_out(seal: Seal | None) -> None:
    stack = former(seal)
    ShredHorizon(stack.store).end("default", NOW_MS)
    stack.file()
    assert stack.below.get(A) is None
    assert stack.below.get(C) == value_for(C, 1), "it is in another namespace"
    assert stack.below.get(HINT) == b"hint"
