"""A damaged journal of a real data directory: the start tells of it, and goes on with the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from kit.runtime import Answers, Pump

import kvorum
from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.errors import StorageError
from kvorum.storage.log_files import LogFiles
from kvorum.storage.recovery_note import NOTE
from kvorum.storage.syncer import InlineSyncer

KEYS = [f"key-{number}" for number in range(30)]
TOLD = "acknowledged writes may be lost"


def value_of(key: str) -> str:
    return f"value of {key} " * 200


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def entries_in(path: Path) -> list[bytes]:
    """Those that are needed, oldest first, of a store that is closed."""
    pump = Pump()
    log = LogFiles.open(path / "journal", pump, InlineSyncer(pump.call_soon), never)
    entries = [entry for _, entry in log.entries()]
    log.close()
    return entries


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A data directory in whose journal each key has an entry."""
    with kvorum.open(tmp_path) as store:
        for key in KEYS:
            store.set(key, value_of(key))
    assert len(entries_in(tmp_path)) == len(KEYS)
    return tmp_path


def one_entry(path: Path) -> list[str]:
    """Damage it; returns the keys that are lost by that. So of each."""
    entry = entries_in(path)[10]
    (file,) = (file for file in (path / "journal").iterdir() if entry in file.read_bytes())
    flip(file, file.read_bytes().index(entry) + len(entry) // 2)
    return [KEYS[10]]


def the_oldest(path: Path) -> list[str]:
    entry = entries_in(path)[0]
    (file,) = (file for file in (path / "journal").iterdir() if entry in file.read_bytes())
    flip(file, file.read_bytes().index(entry))
    return [KEYS[0]]


def the_newest(path: Path) -> list[str]:
    entry = entries_in(path)[-1]
    (file,) = (file for file in (path / "journal").iterdir() if entry in file.read_bytes())
    flip(file, file.read_bytes().index(entry) + len(entry) - 1)
    return [KEYS[-1]]


def the_end(path: Path) -> list[str]:
    """As if the last three had never been written."""
    entry = entries_in(path)[-3]
    (file,) = (file for file in (path / "journal").iterdir() if entry in file.read_bytes())
    data = file.read_bytes()
    file.write_bytes(data[: data.index(entry) // 4096 * 4096])
    return KEYS[-3:]


def a_header(path: Path) -> list[str]:
    (file,) = (path / "journal").iterdir()
    flip(file, 9)
    return KEYS


def all_files(path: Path) -> list[str]:
    for file in (path / "journal").iterdir():
        file.unlink()
    return KEYS


SPOILT = [one_entry, the_oldest, the_newest, the_end, a_header, all_files]
Spoil = Callable[[Path], list[str]]


def journal_of(store: kvorum.Embedded) -> JournaledStore:
    journal = store._engine.store._journaled
    assert isinstance(journal, JournaledStore)
    return journal


def file_all(store: kvorum.Embedded) -> None:
    emptied = Answers()
    journal_of(store).empty(emptied.done, None)
    while not emptied.args:
        store.get("any")  # turns the runtime, whose timers are its own
    assert emptied.errors == [None]


def missing_from(store: kvorum.Embedded) -> list[str]:
    return [key for key in KEYS if store.get(key) != value_of(key)]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_start_notes_the_loss_and_goes_on_with_the_rest(
    path: Path, caplog: pytest.LogCaptureFixture, spoil: Spoil
) -> None:
    with kvorum.open(path) as store:
        (before,) = store.get_entry(KEYS[0]).clock
    assert TOLD not in caplog.text
    lost = spoil(path)
    with kvorum.open(path) as store:
        assert TOLD in caplog.text
        assert missing_from(store) == lost
        (after,) = store.set("new", 1).clock
        assert after.node != before.node, "others may hold dots that it has forgotten"
        assert after.counter == 1
        assert journal_of(store).get(NOTE) == b"lost"


@pytest.mark.parametrize("spoil", SPOILT)
def test_it_is_told_no_more_when_what_is_left_is_flushed(
    path: Path, caplog: pytest.LogCaptureFixture, spoil: Spoil
) -> None:
    lost = spoil(path)
    with kvorum.open(path) as store:
        assert TOLD in caplog.text
        file_all(store)
    caplog.clear()
    for _ in range(2):
        with kvorum.open(path) as store:
            assert TOLD not in caplog.text
            assert missing_from(store) == lost
            assert journal_of(store).get(NOTE) == b"lost"
            store.set("new", 1)
            file_all(store)


def test_the_newest_entry_of_a_life_that_was_killed_may_be_torn(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with kvorum.open(path) as store:
        store.set("a", 1)
    store = kvorum.open(path)
    store.set("b", value_of("b"))
    store._engine.store.release()
    the_newest(path)
    with kvorum.open(path) as store:
        assert TOLD not in caplog.text
        assert store.get("a") == 1
        assert store.get("b") is None, "else this would show nothing"


def test_a_gap_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one_entry(path)
    kvorum.open(path).close()
    assert TOLD in caplog.text
    caplog.clear()
    kvorum.open(path).close()
    assert TOLD not in caplog.text


def test_what_was_let_go_of_is_not_missed(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = entries_in(path)
    with kvorum.open(path) as store:
        file_all(store)
        store.set("new", 1)
    for file in (path / "journal").iterdir():
        data = file.read_bytes()
        assert not any(entry in data for entry in entries), "no trace is left"
    with kvorum.open(path) as store:
        assert TOLD not in caplog.text
        assert missing_from(store) == []
        assert store.get("new") == 1
