"""Inodes: when new data is refused for want of them. The file system is two numbers."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.runtime import Answers, Pump, put

from kvorum.storage.inodes import NEEDED, RESERVE_FILES, Count, Inodes, count_inodes
from kvorum.storage.rocks import RocksStore
from kvorum.storage.space import Space
from kvorum.storage.syncer import InlineSyncer

TOTAL = 320
MARGIN = RESERVE = 20


class Disk:
    """`left` inodes are free, but for those that the reserve takes."""

    def __init__(self, directory: Path, left: int = TOTAL, total: int = TOTAL) -> None:
        self.directory = directory
        self.left = left
        self.total = total

    @property
    def reserved(self) -> int:
        reserve = self.directory / RESERVE_FILES
        return len(list(reserve.iterdir())) if reserve.exists() else 0

    def count(self, _directory: Path) -> Count:
        return Count(self.left - self.reserved, self.total)

    def watched(self) -> Inodes:
        return Inodes(self.directory, self.count)


def test_there_is_a_reserve_as_soon_as_somebody_looks(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    inodes = disk.watched()
    inodes.look()
    assert not inodes.full
    assert disk.reserved == RESERVE


def test_it_is_full_while_the_margin_is_not_free(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    inodes = disk.watched()
    inodes.look()
    disk.left = RESERVE + MARGIN
    inodes.look()
    assert not inodes.full
    disk.left -= 1
    inodes.look()
    assert inodes.full
    disk.left = RESERVE + MARGIN + MARGIN // 2 - 1
    inodes.look()
    assert inodes.full
    disk.left += 1
    inodes.look()
    assert not inodes.full


def test_the_reserve_is_given_up_only_when_it_is_needed(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    inodes = disk.watched()
    inodes.look()
    disk.left = RESERVE + NEEDED
    inodes.make_room()
    assert disk.reserved == RESERVE
    disk.left -= 1
    inodes.make_room()
    assert disk.reserved == 0
    inodes.look()
    assert inodes.full
    disk.left = TOTAL
    inodes.look()
    assert not inodes.full
    assert disk.reserved == RESERVE


def test_the_reserve_outlives_the_process(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.watched().look()
    disk.left = RESERVE
    disk.watched().make_room()
    assert disk.reserved == 0


def test_a_file_system_that_counts_no_inodes_has_enough(tmp_path: Path) -> None:
    disk = Disk(tmp_path, left=0, total=0)
    inodes = disk.watched()
    inodes.look()
    inodes.make_room()
    assert not inodes.full
    assert disk.reserved == 0


@pytest.mark.parametrize(("total", "each"), [(20, 16), (100, 16), (1600, 100)])
def test_margin_and_reserve_follow_the_size_within_bounds(
    tmp_path: Path, total: int, each: int
) -> None:
    inodes = Disk(tmp_path, total=total).watched()
    assert (inodes.margin, inodes.reserve) == (each, min(32, each))


def test_what_cannot_be_reserved_is_not_taken_for_inodes(tmp_path: Path) -> None:
    inodes = Inodes(tmp_path, lambda _directory: Count(TOTAL, TOTAL))
    (tmp_path / RESERVE_FILES).write_text("in the way")
    inodes.look()
    assert inodes.full


def test_a_real_file_system_says_how_many_it_has(tmp_path: Path) -> None:
    count = count_inodes(tmp_path)
    assert 0 <= count.free <= count.total


def test_a_store_without_inodes_is_full_and_takes_small_writes(tmp_path: Path) -> None:
    disk, pump, answers = Disk(tmp_path), Pump(), Answers()
    space = Space(tmp_path, 1 << 30, lambda _directory: 1 << 30, disk.watched())

    def never(error: Exception) -> None:
        raise AssertionError(f"the store failed: {error}")

    store = RocksStore.open(
        tmp_path / "rocks", pump, InlineSyncer(pump.call_soon), never, space=space
    )
    assert not store.full
    disk.left = MARGIN
    put(store, b"a", b"1", answers.done, None)
    pump.drain()
    assert store.full
    assert disk.reserved == 0
    put(store, b"a", None, answers.done, None)
    pump.drain()
    assert answers.errors == [None, None]
    disk.left = TOTAL
    pump.timers[-1].go_off()
    assert not store.full
    store.close()
