"""LogFiles: the Log port, on files that are written over."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from kit.log_lives import (
    BLOCK,
    FILE_BLOCKS,
    SYNCERS,
    Life,
    files_in,
    small_files,
    text_of,
)
from kit.runtime import Pump

from kvorum.model.errors import StorageError
from kvorum.storage import log_file, log_rotation
from kvorum.storage.log_file import Direct
from kvorum.storage.log_files import LogFiles
from kvorum.storage.space import Space
from kvorum.storage.syncer import InlineSyncer


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_files():
        yield


@pytest.fixture(params=SYNCERS)
def syncer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def reopened(life: Life, syncer: str = "inline") -> Life:
    life.close()
    again = Life(life.directory, life.told, syncer)
    again.told.judge(again.log)
    return again


def is_direct(log: LogFiles) -> bool:
    return isinstance(log._rotation._manner, Direct)


def test_a_new_log_is_empty(tmp_path: Path, syncer: str) -> None:
    life = Life(tmp_path / "log", syncer=syncer)
    assert (life.log.is_new, life.log.last, life.log.wrong) == (True, 0, None)
    assert list(life.log.entries()) == []
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    life.close()


def test_entries_are_answered_in_order_and_there_in_the_next_life(
    tmp_path: Path, syncer: str
) -> None:
    life = Life(tmp_path, syncer=syncer)
    numbers = [life.append(text_of(seed, 1 + seed % 4)) for seed in range(20)]
    assert numbers == list(range(1, 21))
    life.settle()
    assert life.heard == [(number, None) for number in numbers]
    life = reopened(life, syncer)
    assert [number for number, _ in life.log.entries()] == numbers
    assert not life.log.is_new
    assert life.append(b"goes on") == 21
    life.close()
    assert life.heard == [(21, None)]


def test_close_waits_for_the_queue_and_can_be_repeated(tmp_path: Path, syncer: str) -> None:
    life = Life(tmp_path, syncer=syncer)
    for seed in range(7):
        life.append(text_of(seed))
    life.log.close()
    assert [number for number, _ in life.heard] == list(range(1, 8))
    life.close()
    life.log.append(b"late", life._appended, "late")
    assert len(life.heard) == 7
    life.pump.drain()
    arg, error = life.heard[-1]
    assert arg == "late"
    assert isinstance(error, StorageError)
    assert life.failures == []
    assert life.log.failed is None


def test_released_entries_are_not_there_in_the_next_life(tmp_path: Path, syncer: str) -> None:
    life = Life(tmp_path, syncer=syncer)
    for seed in range(6):
        life.append(text_of(seed))
    life.release(4)
    life.append(b"behind the mark")
    life.settle()
    life = reopened(life, syncer)
    assert [number for number, _ in life.log.entries()] == [5, 6, 8]
    life.release(8)
    life = reopened(life, syncer)
    assert list(life.log.entries()) == []
    assert (life.log.last, life.log.is_new) == (9, False)
    assert life.append(b"x") == 10
    life.close()


def test_a_release_of_what_is_still_to_come_means_what_is_there(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.append(b"one")
    life.told.release_asked = 1
    life.log.release(100, life._released, (2, 1))
    life.append(b"three")
    life = reopened(life)
    assert list(life.log.entries()) == [(3, b"three")]
    life.close()


def test_an_older_release_takes_nothing_back(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for number in range(1, 5):
        life.append(b"%d" % number)
    life.release(3)
    life.release(1)
    life = reopened(life)
    assert list(life.log.entries()) == [(4, b"4")]
    life.close()


def test_a_large_entry_makes_its_file_longer_and_is_never_split(
    tmp_path: Path, syncer: str
) -> None:
    life = Life(tmp_path, syncer=syncer)
    life.append(text_of(1, 3))
    life.append(text_of(2, 5 * FILE_BLOCKS))
    life.append(text_of(3))
    life.settle()
    assert len(files_in(tmp_path)) == 2
    life = reopened(life, syncer)
    assert len(list(life.log.entries())) == 3
    life.close()


def test_a_file_has_its_blocks_before_it_needs_them(tmp_path: Path, syncer: str) -> None:
    life = Life(tmp_path, syncer=syncer)
    for seed in range(FILE_BLOCKS - 1):
        life.append(text_of(seed))
        life.settle()
        assert (tmp_path / "1.log").stat().st_size == FILE_BLOCKS * BLOCK
    life.close()


def test_the_number_of_files_stays_bounded(tmp_path: Path, syncer: str) -> None:
    life = Life(tmp_path, syncer=syncer)
    names: set[str] = set()
    for turn in range(30):
        for seed in range(2 * FILE_BLOCKS):
            number = life.append(text_of(turn * 100 + seed))
        life.release(number - FILE_BLOCKS)
        life.settle()
        names.update(files_in(tmp_path))
        if turn % 10 == 9:
            life = reopened(life, syncer)
    life.close()
    assert len(names) <= 6


def test_the_file_that_has_been_free_the_longest_is_written_over(tmp_path: Path) -> None:
    life = Life(tmp_path)
    per_file = FILE_BLOCKS - 1
    for seed in range(3 * per_file + 1):
        life.append(text_of(seed))
    life.release(3 * per_file)  # 1, 2 and 3 are free, 4 is current
    life.settle()
    before = files_in(tmp_path)
    for seed in range(100, 103):
        life.append(text_of(seed))
    life.settle()
    after = files_in(tmp_path)
    assert [name for name in after if after[name] != before.get(name)] == ["1.log", "4.log"]
    assert after["1.log"][:BLOCK] == before["1.log"][:BLOCK]
    life.close()


def test_nothing_is_written_over_before_its_release_is_durable(tmp_path: Path) -> None:
    """The release and what comes behind it are in the queue together."""
    life = Life(tmp_path, syncer="thread")
    for seed in range(FILE_BLOCKS):
        life.append(text_of(seed))
    life.settle()
    life.append(text_of(9, FILE_BLOCKS))  # fills the second file
    life.release(5)  # to a third: the first is needed still
    life.append(text_of(10, FILE_BLOCKS))
    life.append(text_of(11))  # over the first
    life.settle()
    assert len(files_in(tmp_path)) == 3
    life = reopened(life)
    assert [number for number, _ in life.log.entries()] == [6, 8, 9]
    life.close()


# Room


class Noting(Space):
    """Notes what room it was asked for."""

    def __init__(self, directory: Path, left: int) -> None:
        super().__init__(directory, total=1 << 30, free=lambda _: left)
        self.asked: list[int] = []

    def make_room(self, wanted: int) -> None:
        self.asked.append(wanted)


def opened_in(space: Space, directory: Path, pump: Pump) -> LogFiles:
    return LogFiles.open(directory, pump, InlineSyncer(pump.call_soon), never, space)


def test_room_is_made_for_a_file_at_once(tmp_path: Path) -> None:
    pump, space = Pump(), Noting(tmp_path, 1 << 29)
    log = opened_in(space, tmp_path / "log", pump)
    for seed in range(FILE_BLOCKS - 1):
        log.append(text_of(seed), ignore, None)
        pump.drain()
    assert space.asked == [FILE_BLOCKS * BLOCK]
    log.close()


def test_where_there_is_little_room_a_file_takes_what_it_needs(tmp_path: Path) -> None:
    pump, space = Pump(), Noting(tmp_path, 1 << 20)
    log = opened_in(space, tmp_path / "log", pump)
    log.append(text_of(1), ignore, None)
    pump.drain()
    log.append(text_of(2, 2), ignore, None)
    pump.drain()
    assert space.asked == [BLOCK, BLOCK, 2 * BLOCK]
    assert (tmp_path / "log" / "1.log").stat().st_size == 4 * BLOCK
    log.close()


def test_what_a_file_has_is_written_to_where_there_is_no_room_left(tmp_path: Path) -> None:
    pump, plenty, none = Pump(), Noting(tmp_path, 1 << 29), Noting(tmp_path, 0)
    log = opened_in(plenty, tmp_path / "log", pump)
    log.append(text_of(1), ignore, None)
    pump.drain()
    log.close()
    log = opened_in(none, tmp_path / "log", pump)
    log.append(text_of(2), ignore, None)
    pump.drain()
    assert none.asked == []
    log.close()


# No other file to be had


class Scarce:
    """Files cannot be made, for the reason `reason`, until it is None."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reason: int | None = None
        self.asked = 0
        make = log_file.create

        def create(path: Path, size: int) -> int:
            self.asked += 1
            if self.reason is not None:
                raise OSError(self.reason, os.strerror(self.reason))
            return make(path, size)

        monkeypatch.setattr(log_rotation, "create", create)


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> Scarce:
    return Scarce(monkeypatch)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE])
def test_the_current_file_grows_while_no_other_can_be_had(
    tmp_path: Path, syncer: str, scarce: Scarce, reason: int
) -> None:
    life = Life(tmp_path / "log", syncer=syncer)
    life.append(text_of(0))
    life.settle()
    scarce.reason = reason
    for seed in range(1, 3 * FILE_BLOCKS):
        life.append(text_of(seed))
        life.settle()
    assert life.failures == []
    assert list(files_in(tmp_path / "log")) == ["1.log"]
    assert scarce.asked == 2  # not with each entry
    life = reopened(life, syncer)
    assert [number for number, _ in life.log.entries()] == list(range(1, 3 * FILE_BLOCKS + 1))
    scarce.reason = None
    life.append(text_of(1))
    life.settle()
    assert list(files_in(tmp_path / "log")) == ["1.log", "2.log"]
    reopened(life, syncer).close()


def test_a_disk_that_fails_is_not_taken_for_one_without_inodes(
    tmp_path: Path, scarce: Scarce
) -> None:
    life = Life(tmp_path / "log")
    life.append(text_of(0))
    life.settle()
    scarce.reason = errno.EIO
    for seed in range(1, 2 * FILE_BLOCKS):
        life.append(text_of(seed))
        life.pump.drain()
    assert "Input/output error" in str(life.failures[0])
    life.close()


def never(error: StorageError) -> None:
    raise AssertionError(f"the log failed: {error}")


def ignore(_arg: Any, _error: StorageError | None) -> None:
    """Of no interest."""


# Where direct writes are not taken


@pytest.mark.parametrize("refusal", ["unknown", "at open", "at the first write"])
def test_without_direct_writes_all_goes_through_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    if refusal == "unknown":
        monkeypatch.delattr(os, "O_DIRECT", raising=False)
    elif refusal == "at open":
        monkeypatch.setattr(os, "open", refusing_open(os.open))
    else:
        monkeypatch.setattr(os, "pwrite", refusing_pwrite)
    life = Life(tmp_path)
    monkeypatch.undo()
    with small_files():
        assert files_in(tmp_path) == {}
        for seed in range(12):
            life.append(text_of(seed, 1 + seed % 2))
        life.settle()
        assert (tmp_path / "1.log").stat().st_size == FILE_BLOCKS * BLOCK
        life = reopened(life)
        life.append(text_of(99))
        reopened(life, "none").close()


def refusing_open(real: Any) -> Any:
    def refuse(path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return int(real(path, flags, mode, **rest))

    return refuse


def refusing_pwrite(*_args: Any) -> int:
    raise OSError(errno.EINVAL, "Invalid argument")


def test_a_log_of_one_manner_is_taken_up_in_the_other(tmp_path: Path) -> None:
    life = Life(tmp_path, syncer="none")
    for turn in range(6):
        for seed in range(3):
            life.append(text_of(10 * turn + seed, 1 + seed))
        life.release(3 * turn)
        life = reopened(life, "inline" if turn % 2 else "none")
    life.close()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no file system in memory")
def test_a_file_system_in_memory_will_do() -> None:
    with TemporaryDirectory(dir="/dev/shm") as directory:
        life = Life(Path(directory) / "log")
        for seed in range(12):
            life.append(text_of(seed))
        life.release(6)
        reopened(life).close()


# Refusals


def test_short_writes_go_on_where_they_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, syncer: str
) -> None:
    def short_pwrite(descriptor: int, data: memoryview, at: int) -> int:
        places.append(at)
        return real(descriptor, data[: BLOCK + 512], at)

    places: list[int] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", short_pwrite)
    life = Life(tmp_path, syncer=syncer)
    life.append(text_of(1, 7))
    life.append(text_of(2, 2))
    life = reopened(life, syncer)
    if is_direct(life.log):
        assert all(at % BLOCK == 0 for at in places)
    life.close()


@pytest.mark.parametrize("name", ["inline", "thread"])
def test_a_sync_that_failed_is_never_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    life = Life(tmp_path, syncer=name)
    life.append(text_of(1))
    life.settle()
    writes = 0

    def broken(*_args: Any) -> int:
        nonlocal writes
        writes += 1
        raise OSError(errno.EIO, "the disk is on fire")

    monkeypatch.setattr(os, "pwrite", broken)
    for seed in (2, 3):
        life.append(text_of(seed))
    life.release(1)
    life.settle()
    life.append(text_of(4))
    life.release(2)
    life.pump.drain()
    monkeypatch.undo()
    life.append(text_of(5))
    life.log.part()
    life.pump.drain()
    error = life.log.failed
    assert error is not None
    assert error.outcome == "unknown"
    assert "the disk is on fire" in str(error)
    assert "restart the node" in str(error)
    assert life.failures == [error]
    assert writes == 1
    assert [answer for _, answer in life.heard] == [None] + [error] * 6
    life.close()
    life.close()
    assert len(life.heard) == 7
    with small_files():
        Life(tmp_path, syncer="none").close()


def test_a_file_that_cannot_be_made_fails_the_log(tmp_path: Path) -> None:
    life = Life(tmp_path / "log")
    (tmp_path / "log").rmdir()
    life.append(b"nowhere to go")
    life.append(b"nor this")
    assert life.heard == []
    life.close()
    assert life.log.failed is not None
    assert [error for _, error in life.heard] == [life.log.failed] * 2
    assert life.failures == [life.log.failed]


def test_a_callback_that_raises_does_not_hold_up_the_rest(tmp_path: Path) -> None:
    def raising(_arg: Any, _error: StorageError | None) -> None:
        raise RuntimeError("a bug")

    life = Life(tmp_path)
    life.log.append(b"one", raising, None)
    life.append(b"two")
    with pytest.raises(RuntimeError, match="a bug"):
        life.pump.drain()
    life.settle()
    assert life.heard == [(2, None)]
    life.close()


def test_a_directory_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    class Closing(InlineSyncer):
        def close(self) -> None:
            closed.append(True)

    closed: list[bool] = []
    pump = Pump()
    with pytest.raises(StorageError, match="Check its rights"):
        LogFiles.open(tmp_path / "no" / "log", pump, Closing(pump.call_soon), never)
    assert closed == [True]


def test_what_cannot_be_read_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)
    life.append(b"text")
    life.close()

    def broken(*_args: Any) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(StorageError, match="Input/output error"):
        Life(tmp_path)


# Parting


def old_text_in(directory: Path, texts: dict[int, bytes]) -> set[int]:
    data = b"".join(files_in(directory).values())
    return {number for number, text in texts.items() if text[: BLOCK // 2] in data}


@pytest.mark.parametrize("queued", [False, True])
def test_nothing_is_left_of_what_was_parted_and_released(
    tmp_path: Path, syncer: str, queued: bool
) -> None:
    life = Life(tmp_path, syncer=syncer)
    for seed in range(4 * FILE_BLOCKS):
        life.append(text_of(seed))
    life.release(FILE_BLOCKS)
    for seed in range(100, 102):
        number = life.append(text_of(seed))
    old = dict(life.told.texts)
    if not queued:
        life.settle()
    life.log.part()
    life.append(text_of(200))
    gone: list[set[int]] = []
    life.log.release(number, lambda *_: gone.append(old_text_in(tmp_path, old)), None)
    last = life.append(text_of(201))
    life.settle()
    assert gone == [set()]
    life.told.release_asked = life.told.release_acked = number
    life = reopened(life, syncer)
    assert [n for n, _ in life.log.entries()] == [last - 2, last]
    life.close()


def test_a_mark_holds_no_parted_file(tmp_path: Path) -> None:
    """All had been released when they were parted, but by a mark that lay among them."""
    life = Life(tmp_path)
    for seed in range(FILE_BLOCKS):
        number = life.append(text_of(seed))
    life.release(number)
    life.release(number)
    life.settle()
    old = dict(life.told.texts)
    life.log.part()
    assert old_text_in(tmp_path, old) == {number}  # behind it is the newest mark
    life.release(number)
    life.settle()
    assert old_text_in(tmp_path, old) == set()
    assert len(files_in(tmp_path)) == 1
    reopened(life).close()


def test_a_mark_of_an_earlier_life_holds_no_parted_file(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for seed in range(FILE_BLOCKS):
        number = life.append(text_of(seed))
    life.release(number - 1)
    life = reopened(life)
    old = dict(life.told.texts)
    life.log.part()
    life.append(text_of(100))
    life.release(number)
    life = reopened(life)
    assert old_text_in(tmp_path, old) == set()
    life.close()


def test_a_removal_is_durable_before_the_release_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("unlink", "fsync"):
        monkeypatch.setattr(os, name, noting(calls, name, getattr(os, name)))
    life = Life(tmp_path)
    life.append(text_of(1))
    life.log.part()
    life.append(text_of(2))
    life.settle()
    calls.clear()
    life.log.release(1, lambda *_: calls.append("answered"), None)
    life.close()
    assert calls == ["unlink", "fsync", "answered"]


def noting(calls: list[str], name: str, real: Any) -> Any:
    def note(*args: Any, **rest: Any) -> Any:
        calls.append(name)
        return real(*args, **rest)

    return note


def test_what_is_free_is_removed_when_the_rest_is_parted(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for seed in range(2 * FILE_BLOCKS):
        number = life.append(text_of(seed))
    life.release(number)
    life = reopened(life)
    life.settle()
    before = len(files_in(tmp_path))
    life.log.part()
    assert len(files_in(tmp_path)) == 1 < before
    life.log.part()
    reopened(life).close()


def test_parting_what_is_empty_changes_nothing(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.log.part()
    life.append(b"one")
    life.settle()
    life.log.part()
    life.log.part()
    life.append(b"two")
    life.settle()
    assert len(files_in(tmp_path)) == 2
    reopened(life).close()


def test_a_removal_that_fails_fails_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)
    life.append(text_of(1))
    life.settle()
    life.log.part()

    def broken(*_args: Any, **_rest: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    life.append(text_of(2))
    monkeypatch.setattr(os, "unlink", broken)
    life.release(1)
    life.append(text_of(3))
    life.settle()
    life.pump.drain()
    assert life.log.failed is not None
    assert "Read-only" in str(life.log.failed)
    failed = life.log.failed
    assert life.heard == [(1, None), (2, None), (3, failed), (4, failed)]
    life.close()


@pytest.mark.parametrize("name", ["inline", "thread"])
def test_a_removal_that_fails_beside_a_sync_fails_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def broken(*_args: Any, **_rest: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    life = Life(tmp_path, syncer=name)
    for seed in range(FILE_BLOCKS):
        number = life.append(text_of(seed))
    life.release(number)
    life.settle()
    monkeypatch.setattr(os, "unlink", broken)
    life.append(text_of(100))
    life.append(text_of(101))
    life.log.part()
    life.close()
    assert life.log.failed is not None
    assert [error for _, error in life.heard[-2:]] == [life.log.failed] * 2
    assert life.failures == [life.log.failed]
