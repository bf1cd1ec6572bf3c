"""Space: when new data is refused, and what becomes of the reserve. The file system is a number."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.runtime import Answers, Pump, put

from kvorum.storage.directory import DataDirectory
from kvorum.storage.identity import Facts
from kvorum.storage.rocks import RocksStore
from kvorum.storage.space import RESERVE, Space
from kvorum.storage.syncer import InlineSyncer

MEBI = 1 << 20
TOTAL = 160 * MEBI
PART = 10 * MEBI  # the margin, and the reserve


class Disk:
    """`left` bytes are free, but for what the reserve takes."""

    def __init__(self, directory: Path, left: int = TOTAL) -> None:
        self.directory = directory
        self.left = left

    def free(self, _directory: Path) -> int:
        reserve = self.directory / RESERVE
        return self.left - (reserve.stat().st_size if reserve.exists() else 0)

    def watched(self) -> Space:
        return Space(self.directory, TOTAL, self.free)


def test_there_is_a_reserve_as_soon_as_somebody_looks(tmp_path: Path) -> None:
    space = Disk(tmp_path).watched()
    space.look(0)
    assert not space.full
    assert (tmp_path / RESERVE).stat().st_blocks * 512 >= PART


def test_a_large_disk_gives_no_more_than_it_must(tmp_path: Path) -> None:
    space = Space(tmp_path, 1 << 40)
    assert (space.margin, space.reserve) == (64 * MEBI, 16 * MEBI)


@pytest.mark.parametrize("in_memory", [0, 30 * MEBI])
def test_it_is_full_when_what_is_in_memory_would_leave_no_margin(
    tmp_path: Path, in_memory: int
) -> None:
    disk = Disk(tmp_path)
    space = disk.watched()
    space.look(in_memory)
    disk.left = PART + PART + in_memory
    space.look(in_memory)
    assert not space.full
    disk.left -= 1
    space.look(in_memory)
    assert space.full


def test_it_is_full_no_more_when_there_is_room_for_half_a_margin_more(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    space = disk.watched()
    space.look(0)
    disk.left = 0
    space.look(0)
    disk.left = PART + PART + PART // 2 - 1
    space.look(0)
    assert space.full
    disk.left += 1
    space.look(0)
    assert not space.full


def test_the_reserve_is_given_up_only_when_it_is_needed(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    space = disk.watched()
    space.look(0)
    disk.left = PART + 5000
    space.make_room(5000)
    assert (tmp_path / RESERVE).exists()
    space.make_room(5001)
    assert not (tmp_path / RESERVE).exists()
    assert disk.free(tmp_path) == PART + 5000


def test_the_reserve_is_made_again_before_new_data_is_taken(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    space = disk.watched()
    space.look(0)
    disk.left = PART
    space.look(0)
    space.make_room(1)
    disk.left = PART + PART + PART // 2 - 1
    space.look(0)
    assert space.full
    assert not (tmp_path / RESERVE).exists()
    disk.left += 1
    space.look(0)
    assert not space.full
    assert (tmp_path / RESERVE).exists()


def test_what_cannot_be_reserved_is_not_taken_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr("os.posix_fallocate", refuse)
    space = Disk(tmp_path).watched()
    space.look(0)
    assert space.full
    assert not (tmp_path / RESERVE).exists()


def test_the_reserve_outlives_the_process(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.watched().look(0)
    disk.left = PART
    space = disk.watched()
    space.make_room(1)
    assert not (tmp_path / RESERVE).exists()


def never(error: Exception) -> None:
    raise AssertionError(f"the store failed: {error}")


def test_a_store_looks_with_each_commit_and_now_and_then(tmp_path: Path) -> None:
    disk, pump, answers = Disk(tmp_path), Pump(), Answers()
    store = RocksStore.open(
        tmp_path / "rocks", pump, InlineSyncer(pump.call_soon), never, space=disk.watched()
    )
    put(store, b"a", b"1" * 1000, answers.done, None)
    pump.drain()
    assert not store.full
    disk.left = 2 * PART
    put(store, b"b", b"2", answers.done, None)
    pump.drain()
    assert store.full
    assert store.get(b"b") == b"2"
    put(store, b"a", None, answers.done, None)
    pump.drain()
    assert answers.errors == [None] * 3
    disk.left = TOTAL
    pump.timers[-1].go_off()
    assert not store.full
    store.close()
    assert pump.timers[-1].cancelled


def test_a_start_gives_the_reserve_up_for_what_it_has_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = Facts("c", "n1", 16, "murmur3", 0)
    directory = DataDirectory.open(tmp_path, facts)
    directory.space.look(0)
    assert (tmp_path / RESERVE).exists()
    directory.release()
    (tmp_path / "rocks" / "000004.log").write_bytes(bytes(2 * MEBI))
    left = 3 * MEBI
    monkeypatch.setattr(
        "os.statvfs",
        lambda _path: SimpleNamespace(
            f_frsize=1, f_bavail=left, f_blocks=TOTAL, f_files=0, f_favail=0
        ),
    )
    DataDirectory.open(tmp_path, facts).release()
    assert (tmp_path / RESERVE).exists()
    left -= 1
    DataDirectory.open(tmp_path, facts).release()
    assert not (tmp_path / RESERVE).exists()
