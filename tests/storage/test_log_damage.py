"""Files of a log that are damaged, cut short or gone: it says so, and gives what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kit.log_lives import BLOCK, FILE_BLOCKS, Life, files_in, left_in, small_files, text_of

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.storage.log_file import entry_blocks, read_salt, reading

PER_FILE = FILE_BLOCKS - 1
ALL = range(1, 4 * PER_FILE + 1)

Damage = Callable[[Path], object]


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_files():
        yield


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Four full files; every entry is one block."""
    life = Life(tmp_path / "log", syncer="none")
    for number in ALL:
        life.append(text_of(number))
    life.close()
    assert len(files_in(tmp_path / "log")) == 4
    return tmp_path / "log"


def flip(at: int) -> Damage:
    def damage(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[at] ^= 0x10
        file.write_bytes(data)

    return damage


def cut(size: int) -> Damage:
    def damage(file: Path) -> None:
        file.write_bytes(file.read_bytes()[:size])

    return damage


# Of the second file, which holds 5 to 8.
DAMAGES: list[tuple[str, Damage, range]] = [
    ("a text", flip(2 * BLOCK + 100), range(6, 7)),
    ("the magic of an entry", flip(2 * BLOCK), range(6, 7)),
    ("a length", flip(2 * BLOCK + 4), range(6, 7)),
    ("a small length", flip(2 * BLOCK + 7), range(6, 7)),
    ("a number", flip(2 * BLOCK + 15), range(6, 7)),
    ("what was needed", flip(2 * BLOCK + 23), range(6, 7)),
    ("a check", flip(2 * BLOCK + 30), range(6, 7)),
    ("the salt", flip(10), range(5, 9)),
    ("the magic of the file", flip(0), range(5, 9)),
    ("the file's format", flip(7), range(5, 9)),
    ("cut in an entry", cut(3 * BLOCK + 10), range(7, 9)),
    ("cut at an entry", cut(3 * BLOCK), range(7, 9)),
    ("cut in the header", cut(10), range(5, 9)),
    ("empty", cut(0), range(5, 9)),
    ("gone", Path.unlink, range(5, 9)),
]
NAMES = [name for name, _, _ in DAMAGES]


@pytest.mark.parametrize(("_name", "damage", "lost"), DAMAGES, ids=NAMES)
def test_damage_is_told_and_the_rest_is_there(
    log: Path, _name: str, damage: Damage, lost: range
) -> None:
    damage(log / "2.log")
    wrong, entries = left_in(log)
    assert wrong == f"entries {lost[0]} to {lost[-1]} are missing"
    assert entries == [(number, text_of(number)) for number in ALL if number not in lost]


@pytest.mark.parametrize(("_name", "damage", "lost"), DAMAGES, ids=NAMES)
def test_a_damaged_log_goes_on(log: Path, _name: str, damage: Damage, lost: range) -> None:
    damage(log / "2.log")
    headless = lost == range(5, 9) and (log / "2.log").exists()
    before = (log / "2.log").read_bytes() if headless else b""
    life = Life(log)
    assert [life.append(text_of(100 + seed)) for seed in range(20)] == list(range(17, 37))
    life.settle()
    if headless:
        assert (log / "2.log").read_bytes() == before
    life.release(30)
    life.settle()
    life.close()
    if headless:
        assert not (log / "2.log").exists()
    wrong, entries = left_in(log)
    assert wrong is None
    assert [number for number, _ in entries] == list(range(31, 37))


@pytest.mark.parametrize(("_name", "damage", "lost"), DAMAGES, ids=NAMES)
def test_damage_to_what_is_released_is_none(
    log: Path, _name: str, damage: Damage, lost: range
) -> None:
    life = Life(log)
    life.release(9)
    life.close()
    damage(log / "2.log")
    wrong, entries = left_in(log)
    assert [number for number, _ in entries] == list(ALL[9:])
    if lost == range(5, 9) and (log / "2.log").exists():
        # Nobody can tell what it held.
        assert wrong == "what 2.log held cannot be read, as the header is damaged"
        life = Life(log)
        life.log.part()
        life.close()
        wrong, _ = left_in(log)
    assert wrong is None


def test_of_several_gaps_the_first_is_told(log: Path) -> None:
    (log / "2.log").unlink()
    flip(2 * BLOCK + 100)(log / "4.log")
    wrong, entries = left_in(log)
    assert wrong == "entries 5 to 8 are missing"
    assert len(entries) == len(ALL) - 5


def test_the_newest_entry_may_be_torn(log: Path) -> None:
    flip(4 * BLOCK + 100)(log / "4.log")
    wrong, entries = left_in(log)
    assert wrong is None
    assert [number for number, _ in entries] == list(ALL[:-1])


def test_an_entry_without_all_its_blocks_is_none(tmp_path: Path) -> None:
    """So what comes next begins at a block."""
    life = Life(tmp_path, syncer="none")
    life.append(b"one")
    life.append(b"two")
    life.close()
    cut(2 * BLOCK + 100)(tmp_path / "1.log")
    life = Life(tmp_path)
    assert life.append(b"another two") == 2
    life.append(b"three")
    life.close()
    assert left_in(tmp_path) == (None, [(1, b"one"), (2, b"another two"), (3, b"three")])


def test_what_lies_about_is_left_alone_but_for_drafts(log: Path) -> None:
    names = ["notes.txt", "01.log", "x.log", "5.log.bak"]
    for name in [*names, "9.log.new"]:
        (log / name).write_bytes(b"whatever")
    assert left_in(log)[0] is None
    assert set(files_in(log)) == {*names, "1.log", "2.log", "3.log", "4.log"}


def test_a_format_to_come_is_refused(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvorum.storage.log_file.FORMAT", 2)
    with pytest.raises(StorageError, match=r"has format 1, .* format 2 only"):
        left_in(log)


def test_an_entry_that_changes_after_it_was_found_is_not_given(log: Path) -> None:
    life = Life(log, syncer="none")
    entries = life.log.entries()
    assert next(entries)[0] == 1
    flip(2 * BLOCK + 100)(log / "1.log")
    with pytest.raises(CorruptRecord, match="Entry 2"):
        next(entries)
    life.close()


@pytest.mark.parametrize("source", ["1.log", "2.log"])
def test_a_value_that_looks_like_an_entry_of_another_file_is_none(
    tmp_path: Path, source: str
) -> None:
    """It lies at a block of its own, in an entry that has lost its head. Only where it is made
    with what the file has for a salt, which nobody outside knows, is it taken for one.
    """
    life = Life(tmp_path, syncer="none")
    for number in range(1, PER_FILE + 2):
        life.append(text_of(number))
    life.settle()
    with reading(tmp_path / source) as file:
        salt = read_salt(file, tmp_path / source)
    assert salt is not None
    first = life.append(bytes(BLOCK - 32) + entry_blocks(salt, 100, 100, b"forged"))
    life.append(text_of(8))
    life.close()
    assert (100, b"forged") not in left_in(tmp_path)[1]
    flip(2 * BLOCK + 50)(tmp_path / "2.log")
    wrong, entries = left_in(tmp_path)
    taken = (100, b"forged") in entries
    assert taken == (source == "2.log")
    assert taken or wrong == f"entries {first} to {first} are missing"
