"""A data directory that is removed, moved or replaced under the process that uses it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.runtime import Answers, Pump, put

from kvorum.storage.directory import DataDirectory
from kvorum.storage.directory_watch import DirectoryLost
from kvorum.storage.identity import Facts
from kvorum.storage.log_files import LogFiles
from kvorum.storage.log_rotation import FILE_BYTES
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer

FACTS = Facts("c", "n1", 16, "murmur3", 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


def remove(path: Path) -> None:
    shutil.rmtree(path)


def move(path: Path) -> None:
    path.rename(path.with_name("moved"))


def replace(path: Path) -> None:
    shutil.rmtree(path)
    DataDirectory.open(path, FACTS).release()


def put_a_file_in_its_place(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("")


def remove_lock(path: Path) -> None:
    (path / "LOCK").unlink()


every_loss = pytest.mark.parametrize(
    "lose", [remove, move, replace, put_a_file_in_its_place, remove_lock]
)


def contents(path: Path) -> dict[str, bytes]:
    """All files but the engine's info log, which is open and tells of its end."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != "LOG"
    }


@every_loss
def test_a_lost_directory_is_noticed(path: Path, lose: Callable[[Path], None]) -> None:
    directory = DataDirectory.open(path, FACTS)
    directory.watch.look()
    lose(path)
    with pytest.raises(DirectoryLost, match=f"The data directory {path} is no longer the one"):
        directory.watch.look()
    assert directory.watch.lost is not None
    directory.release()


def test_a_lost_directory_stays_lost(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    move(path)
    with pytest.raises(DirectoryLost):
        directory.watch.look()
    path.with_name("moved").rename(path)
    with pytest.raises(DirectoryLost):
        directory.watch.look()
    directory.release()


def test_a_directory_behind_a_link_may_move(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    move(path)
    path.symlink_to(path.with_name("moved"))
    directory.watch.look()
    directory.release()


def test_a_relative_path_stays_that_of_the_first_working_directory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    directory = DataDirectory.open(Path(path.name), FACTS)
    monkeypatch.chdir("/")
    directory.watch.look()
    directory.close(1, 0)
    assert DataDirectory.open(path, FACTS).counter == 1


def test_the_identity_of_the_node_that_came_after_is_left_alone(path: Path) -> None:
    directory = DataDirectory.open(path, FACTS)
    replace(path)
    before = contents(path)
    with pytest.raises(DirectoryLost):
        directory.remember("1" * 32, "n2")
    with pytest.raises(DirectoryLost):
        directory.close(1, 0)
    assert contents(path) == before


class Life:
    """A log in the data directory `path`."""

    def __init__(self, path: Path) -> None:
        self.pump, self.answers = Pump(), Answers()
        self.failures: list[Exception] = []
        self.directory = DataDirectory.open(path, FACTS)
        self.log = LogFiles.open(
            path / "journal",
            self.pump,
            InlineSyncer(self.pump.call_soon),
            self.failures.append,
            watch=self.directory.watch,
        )

    def append(self, text: bytes) -> Exception | None:
        self.log.append(text, self.answers.done, None)
        self.pump.drain()
        return self.answers.errors[-1]

    def close(self) -> None:
        self.log.close()
        self.directory.release()


class EngineLife(Life):
    """With an engine beside it. A process has one engine for a path at most."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.store = RocksStore.open(
            path / "rocks",
            self.pump,
            InlineSyncer(self.pump.call_soon),
            self.failures.append,
            space=self.directory.space,
            watch=self.directory.watch,
        )

    def put(self) -> Exception | None:
        put(self.store, b"key", b"value", self.answers.done, None)
        self.pump.drain()
        return self.answers.errors[-1]

    def close(self) -> None:
        self.store.close()
        super().close()


@every_loss
def test_the_log_acknowledges_nothing_in_a_lost_directory(
    path: Path, lose: Callable[[Path], None]
) -> None:
    life = Life(path)
    assert life.append(b"kept") is None
    lose(path)
    before = contents(path.parent)
    # The journal's file is open: without a look this would be written, synced, and gone.
    assert isinstance(life.append(b"lost"), DirectoryLost)
    assert isinstance(life.append(b"lost as well"), DirectoryLost)
    assert isinstance(life.failures[0], DirectoryLost)
    if lose not in (move, remove_lock):  # else the open file is still there, and has more in it
        assert contents(path.parent) == before
    life.close()


@pytest.mark.parametrize("left", [FILE_BYTES, 100])
def test_the_log_neither_makes_nor_takes_a_file_of_the_one_that_came_after(
    path: Path, left: int
) -> None:
    life = Life(path)
    assert life.append(bytes(FILE_BYTES)) is None  # the next entry goes to another file
    replace(path)
    after = Life(path)
    for number in range(3):
        assert after.append(bytes([number]) * left) is None
    before = contents(path / "journal")
    assert isinstance(life.append(b"lost"), DirectoryLost)
    life.close()
    assert contents(path / "journal") == before
    assert after.append(b"goes on") is None
    after.close()


@every_loss
def test_the_engine_takes_nothing_in_a_lost_directory(
    path: Path, lose: Callable[[Path], None]
) -> None:
    life = EngineLife(path)
    assert life.put() is None
    lose(path)
    before = contents(path.parent)
    assert isinstance(life.put(), DirectoryLost)
    assert isinstance(life.failures[0], DirectoryLost)
    life.close()
    assert contents(path.parent) == before


def test_a_loss_is_noticed_without_a_write(path: Path) -> None:
    life = EngineLife(path)
    replace(path)
    before = contents(path)
    life.pump.timers[-1].go_off()
    life.pump.drain()
    assert isinstance(life.failures[0], DirectoryLost)
    assert isinstance(life.put(), DirectoryLost)
    life.close()
    assert contents(path) == before


def test_a_stop_is_when_a_loss_is_noticed_at_the_latest(path: Path) -> None:
    life = EngineLife(path)
    assert life.put() is None
    replace(path)
    before = contents(path)
    life.close()
    assert life.directory.watch.lost is not None
    assert contents(path) == before
    assert os.listdir(path)
