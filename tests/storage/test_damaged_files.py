"""Scans of a store whose files are damaged: they go on behind the damage, and say so."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.runtime import Answers, Pump, put

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer

PAIRS = 20_000
PLACES = (0.2, 0.21, 0.7)
A_FEW = 60
"""More pairs than a block has."""


def pairs() -> dict[bytes, bytes]:
    chance = random.Random(5)
    return {
        chance.choice((b"d", b"hn1\0d")) + chance.randbytes(16): chance.randbytes(100)
        for _ in range(PAIRS)
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    engine = open_engine(tmp_path / "rocks", EngineSettings())
    for key, value in pairs().items():
        engine[key] = value
    engine.flush()
    engine.compact_range(None, None)
    engine.close()
    (file,) = (tmp_path / "rocks").glob("*.sst")
    content = bytearray(file.read_bytes())
    for place in PLACES:
        content[int(len(content) * place)] ^= 0x55
    file.write_bytes(content)
    pump = Pump()
    store = RocksStore.open(tmp_path / "rocks", pump, InlineSyncer(pump.call_soon), _must_not_fail)
    yield store
    store.close()


def _must_not_fail(error: StorageError) -> None:
    raise error


def scanned(store: RocksStore, start: bytes, end: bytes, limit: int) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    while page := store.scan(start, end, limit):
        found.update(page)
        start = page[-1][0] + b"\0"
    return found


@pytest.mark.parametrize("limit", [50, 1000, 2 * PAIRS])
def test_all_is_found_but_what_lies_in_the_damaged_blocks(store: RocksStore, limit: int) -> None:
    wanted = pairs()
    found = scanned(store, b"d", b"e", limit) | scanned(store, b"h", b"i", limit)
    assert found.items() <= wanted.items()
    lost = sorted(wanted.keys() - found.keys())
    assert len(PLACES) <= len(lost) <= A_FEW * len(PLACES)
    for key in lost:
        with pytest.raises(CorruptRecord):
            store.get(key)
    assert len(store.damaged_files.found) == 1


def test_it_is_told_once_that_pairs_are_left_out(store: RocksStore) -> None:
    told: list[None] = []
    store.damaged_files.on_gap = lambda: told.append(None)
    scanned(store, b"d", b"i", 1000)
    assert len(told) == len(PLACES)
    scanned(store, b"d", b"i", 1000)
    assert len(told) == len(PLACES)


@pytest.mark.parametrize("limit", [50, 1000, 2 * PAIRS])
def test_it_says_where_pairs_are_left_out(store: RocksStore, limit: int) -> None:
    found = scanned(store, b"d", b"e", limit) | scanned(store, b"h", b"i", limit)
    for start, end in ((b"d", b"e"), (b"h", b"i")):
        ranges = store.unreadable(start, end)
        for key in pairs():
            if start <= key < end:
                told = any(first <= key < last for first, last in ranges)
                assert told == (key not in found), key
    assert store.unreadable(b"x", b"y") == []


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_scan_that_begins_within_the_damage_tells_nothing_new(
    store: RocksStore, limit: int
) -> None:
    told: list[None] = []
    lost = sorted(pairs().keys() - scanned(store, b"d", b"i", 1000).keys())
    store.damaged_files.on_gap = lambda: told.append(None)
    for key in lost:
        store.scan(key, b"i", limit)
        store.scan(key, key + b"\0", limit)
    assert not told


def test_what_is_written_anew_is_read(store: RocksStore) -> None:
    lost = (pairs().keys() - scanned(store, b"d", b"i", 1000).keys()).pop()
    answers = Answers()
    put(store, lost, b"new", answers.done, None)
    assert store.get(lost) == b"new"
