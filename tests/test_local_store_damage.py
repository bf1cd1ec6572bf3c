"""The local store on a disk that is damaged, or full, with writes that are not flushed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Final

import pytest
from kit.store_lives import NAMESPACES, Life, Pairs, hint_key, life, record_key, settings

from kvorum.model.errors import StorageError
from kvorum.storage import durable_file
from kvorum.storage.log_file import ENTRY_BYTES
from kvorum.storage.recovery_note import NOTE, WHOLE
from kvorum.storage.rocks import LOOK_EVERY_S

LOST: Final = b"lost"
NAMES: Final = ("default", "plain", "open")
ENTRIES: Final = 30
IN_EACH: Final = 20


def key_of(entry: int, number: int) -> bytes:
    token = (entry * IN_EACH + number) * 0x9E3779B97F4A7C15 % (1 << 64)
    return record_key(token, NAMES[number % 3], f"{entry}/{number}")


def write_entry(one: Life, entry: int) -> None:
    """The next entry of the journal, with keys that no other one has."""
    for number in range(IN_EACH):
        one.put(key_of(entry, number), f'"{entry:090}"')
        one.put(hint_key(key_of(entry, number)), f"{entry}")
    one.turn()


def fill(one: Life) -> None:
    for entry in range(1, ENTRIES + 1):
        write_entry(one, entry)
    assert len(one.entries()) == ENTRIES


def but(pairs: Pairs, *entries: int) -> Pairs:
    """`pairs` without what the entries with these numbers have written."""
    rest = dict(pairs)
    for entry in entries:
        for number in range(IN_EACH):
            del rest[key_of(entry, number)], rest[hint_key(key_of(entry, number))]
    return rest


def note(one: Life) -> bytes | None:
    """What the replicator finds of its store's past."""
    return one.parts.store.get(NOTE)


def recovered(one: Life) -> None:
    """As the replicator does it when it has got back what it had lost."""
    one.parts.store.put(NOTE, WHOLE, one._done, None)
    one.turn()


def flip_entry(one: Life, entry: int, place: int) -> None:
    """A bit of the text of the journal's `entry`: counted from 1, of those that are needed."""
    path, at, length = one.place_of(one.entries()[entry - 1])
    content = bytearray(path.read_bytes())
    content[at + place % length] ^= 1
    path.write_bytes(content)


def remove_entries(one: Life, entries: tuple[int, ...]) -> None:
    """Their blocks are as if they had never been written."""
    places = [one.place_of(one.entries()[entry - 1]) for entry in entries]
    for path, at, length in places:
        content = bytearray(path.read_bytes())
        content[at - ENTRY_BYTES : at + length] = bytes(ENTRY_BYTES + length)
        path.write_bytes(content)


@pytest.mark.parametrize(("number", "place"), [(1, 0), (1, 50), (7, 2), (7, 5), (29, 50), (29, -1)])
def test_a_damaged_entry_is_a_loss_that_is_noted(tmp_path: Path, number: int, place: int) -> None:
    with life(tmp_path) as one:
        fill(one)
        recovered(one)
        flip_entry(one, number, place)
    with life(tmp_path) as again:
        assert note(again) == LOST
        assert again.contents() == but(one.wanted, number)
        recovered(again)
        again.flushed()
    with life(tmp_path) as third:
        assert note(third) == WHOLE, "it is told once"
        assert third.contents() == but(one.wanted, number)


@pytest.mark.parametrize("missing", [(2,), (7,), (5, 6, 7, 20), (ENTRIES - 1,)])
def test_missing_entries_are_a_loss_that_is_noted(tmp_path: Path, missing: tuple[int, ...]) -> None:
    with life(tmp_path) as one:
        fill(one)
        recovered(one)
        remove_entries(one, missing)
    with life(tmp_path) as again:
        assert note(again) == LOST
        assert again.contents() == but(one.wanted, *missing)
        write_entry(again, ENTRIES + 1)
        again.wanted |= but(one.wanted, *missing)
        recovered(again)
        again.flushed()
        assert again.contents() == again.wanted
    with life(tmp_path) as third:
        assert note(third) == WHOLE
        assert third.contents() == again.wanted


@pytest.mark.parametrize("name", ["", "1.log"])
def test_a_journal_that_is_gone_is_a_loss_that_is_noted(tmp_path: Path, name: str) -> None:
    with life(tmp_path) as one:
        write_entry(one, 1)
        one.flushed()
        write_entry(one, 2)
        recovered(one)
    journal = one.parts.directory.journal_path
    assert [file.name for file in journal.iterdir()] == ["1.log"]
    (journal / "1.log").unlink()
    if not name:
        journal.rmdir()
    with life(tmp_path) as again:
        assert note(again) == LOST
        assert again.contents() == but(one.wanted, 2)


def test_a_loss_is_noted_again_if_a_crash_came_before_it_was(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        fill(one)
        recovered(one)
        flip_entry(one, 3, 40)
    with life(one.path) as again:
        crashed = again.crash(tmp_path / "crashed")
        recovered(again)
    with life(crashed) as third:
        assert note(third) == LOST
        assert third.contents() == but(one.wanted, 3)


def test_a_sound_journal_is_no_loss(tmp_path: Path) -> None:
    with life(tmp_path / "n1") as one:
        fill(one)
        recovered(one)
        crashed = one.crash(tmp_path / "crashed")
    for path in (one.path, crashed):
        with life(path) as again:
            assert note(again) == WHOLE
            assert not again.parts.directory.forgot


# A full disk


class Disk:
    """The file system says that `left` bytes are free."""

    def __init__(self) -> None:
        self.left = 1 << 34

    def __call__(self, _path: object) -> SimpleNamespace:
        return SimpleNamespace(
            f_frsize=1, f_bavail=self.left, f_blocks=1 << 35, f_files=0, f_favail=0
        )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr("os.statvfs", disk)
    return disk


def look(one: Life) -> None:
    """The store looks at the room there is."""
    one.clock.passed_s += LOOK_EVERY_S
    one.turn()


def flushed_pairs(one: Life) -> Pairs:
    return {key: data for key, data in one.stored().items() if key[:1] in b"dh"}


def test_while_the_disk_is_full_nothing_is_flushed_and_all_is_readable(
    tmp_path: Path, disk: Disk
) -> None:
    with life(tmp_path) as one:
        write_entry(one, 1)
        one.flushed()
        before = flushed_pairs(one)
        disk.left = 1 << 20
        look(one)
        assert one.parts.store.full
        for entry in range(2, ENTRIES):
            write_entry(one, entry)
        for _ in range(300):
            one.tick()
        assert flushed_pairs(one) == before
        assert len(one.entries()) == ENTRIES - 2
        assert one.contents() == one.wanted
        disk.left = 1 << 34
        look(one)
        one.flushed()
        assert one.contents() == one.wanted


def test_a_disk_that_is_full_while_a_segment_is_flushed_holds_that_up(
    tmp_path: Path, disk: Disk
) -> None:
    with life(tmp_path) as one:
        fill(one)
        one.wait(lambda: bool(flushed_pairs(one)))
        disk.left = 1 << 20
        look(one)
        before = flushed_pairs(one)
        for _ in range(100):
            one.tick()
        assert flushed_pairs(one) == before
        assert one.contents() == one.wanted
        disk.left = 1 << 34
        look(one)
        one.flushed()
        assert one.contents() == one.wanted


def test_a_stop_and_a_start_while_the_disk_is_full_lose_nothing(tmp_path: Path, disk: Disk) -> None:
    with life(tmp_path) as one:
        fill(one)
        disk.left = 1 << 20
        look(one)
        write_entry(one, ENTRIES + 1)
    with life(tmp_path) as again:
        assert again.parts.store.full
        assert again.contents() == one.wanted
        write_entry(again, ENTRIES + 2)
        again.wanted |= one.wanted
        for _ in range(300):
            again.tick()
        assert len(again.entries()) == ENTRIES + 2
    disk.left = 1 << 34
    with life(tmp_path) as third:
        assert third.contents() == again.wanted
        third.flushed()
        assert third.contents() == again.wanted


@pytest.mark.parametrize("encryption", ["on", "off"])
def test_a_start_that_cannot_note_a_loss_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encryption: str
) -> None:
    """Also where it brings all that is stored into another form first."""
    with life(tmp_path) as one:
        write_entry(one, 1)
        one.flushed()
        write_entry(one, 2)
        write_entry(one, 3)
        flip_entry(one, 1, 30)
    replace = durable_file.replace

    def full(path: Path, content: bytes) -> None:
        if b'"forgot":true' in content:
            raise OSError("no room")
        replace(path, content)

    namespaces = {**NAMESPACES, "default": settings(encryption=encryption)}
    with monkeypatch.context() as patch:
        patch.setattr(durable_file, "replace", full)
        with pytest.raises(StorageError, match="no room"):
            Life(tmp_path, namespaces)
    with life(tmp_path, namespaces) as again:
        assert note(again) == LOST
