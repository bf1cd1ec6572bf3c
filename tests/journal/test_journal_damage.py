"""A damaged journal of a real data directory: the start tells of it, and goes on with the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from journals import entries_in
from pump import Answers, Pump

import kvorum
import kvorum.local_store
from kvorum.journal.entries import entry_key
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.replication.recovery import NOTE
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer

KEYS = [f"key-{number}" for number in range(30)]
TOLD = "writes that this node had acknowledged may be lost"


def value_of(key: str) -> str:
    """So long that few entries share a block of the engine's files."""
    return f"value of {key} " * 200


class AtOnce(SegmentLimits, frozen=True):
    """A segment is filed as soon as a timer goes off."""

    @classmethod
    def within(cls, *_: object) -> AtOnce:
        return cls(1 << 30, 1 << 30, age_s=0.0)


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def in_rocks(path: Path, work: Callable[[RocksStore], None]) -> None:
    """Do `work` on the engine's pairs of a store that is closed."""
    pump = Pump()
    rocks = RocksStore.open(path / "rocks", pump, InlineSyncer(pump.call_soon), never)
    work(rocks)
    pump.drain()
    rocks.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A data directory in whose journal each key has an entry."""
    with kvorum.open(tmp_path) as store:
        for key in KEYS:
            store.set(key, value_of(key))
    return tmp_path


def damage(number: int) -> Callable[[RocksStore], None]:
    def work(rocks: RocksStore) -> None:
        entry = rocks.get(entry_key(number))
        assert entry is not None
        rocks.put(entry_key(number), entry[:-1] + bytes([entry[-1] ^ 1]), Answers().done, None)

    return work


def remove(number: int) -> Callable[[RocksStore], None]:
    def work(rocks: RocksStore) -> None:
        assert rocks.get(entry_key(number)) is not None
        rocks.delete(entry_key(number), Answers().done, None)

    return work


def note_of(path: Path) -> bytes | None:
    found: list[bytes | None] = []
    in_rocks(path, lambda rocks: found.append(rocks.get(NOTE)))
    return found[0]


def missing_from(store: kvorum.Embedded) -> list[str]:
    return [key for key in KEYS if store.get(key) != value_of(key)]


@pytest.mark.parametrize("spoil", [damage, remove])
def test_a_start_notes_the_loss_and_goes_on_with_the_rest(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[int], Callable[[RocksStore], None]],
) -> None:
    with kvorum.open(path) as store:
        (before,) = store.get_entry(KEYS[0]).clock
    assert TOLD not in caplog.text
    in_rocks(path, spoil(11))
    with kvorum.open(path) as store:
        assert TOLD in caplog.text
        assert missing_from(store) == [KEYS[10]]
        (after,) = store.set("new", 1).clock
        assert after.node != before.node, "others may hold dots that it has forgotten"
        assert after.counter == 1
    assert note_of(path) == b"lost"


@pytest.mark.parametrize("spoil", [damage, remove])
def test_it_is_told_until_what_is_left_is_filed(
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[int], Callable[[RocksStore], None]],
) -> None:
    in_rocks(path, spoil(11))
    kvorum.open(path).close()
    assert TOLD in caplog.text
    caplog.clear()
    monkeypatch.setattr(kvorum.local_store, "SegmentLimits", AtOnce)
    with kvorum.open(path) as store:
        assert TOLD in caplog.text
        while entries_in(store._store.rocks):
            store.get("any")  # turns the runtime, whose timers are its own
    caplog.clear()
    with kvorum.open(path) as store:
        assert TOLD not in caplog.text
        assert missing_from(store) == [KEYS[10]]


def test_damage_to_the_only_entry_is_told_once_it_is_filed_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kvorum.local_store, "SegmentLimits", AtOnce)
    with kvorum.open(tmp_path) as store:
        store.set("a", 1)
    in_rocks(tmp_path, damage(1))
    with kvorum.open(tmp_path) as store:
        assert TOLD in caplog.text
        assert store.get("a") is None
        while entries_in(store._store.rocks):
            store.get("a")
    caplog.clear()
    kvorum.open(tmp_path).close()
    assert TOLD not in caplog.text


def test_a_sorted_file_that_lost_entries_is_told_as_well(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found: list[bytes] = []

    def flush(rocks: RocksStore) -> None:
        rocks.flush()
        found.append(rocks.get(entry_key(11)) or b"")

    in_rocks(path, flush)
    spoilt = 0
    for file in (path / "rocks").glob("*.sst"):
        data = bytearray(file.read_bytes())
        at = data.find(found[0])
        if at >= 0:
            data[at] ^= 0x40
            file.write_bytes(data)
            spoilt += 1
    assert spoilt == 1
    with kvorum.open(path) as store:
        assert TOLD in caplog.text
        missing = missing_from(store)
        assert KEYS[10] in missing, "and what shares its block"
        store.set(KEYS[10], value_of(KEYS[10]))
        assert missing_from(store) == [key for key in missing if key != KEYS[10]]
