"""Cold reads: told from warm ones, fetched elsewhere, and then at hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.runtime import Pump

from kvorum.model.errors import StorageError
from kvorum.storage import reader
from kvorum.storage.reader import Reader
from kvorum.storage.rocks import RocksStore
from kvorum.storage.store import COLD
from kvorum.storage.syncer import InlineSyncer


class Disk:
    """A fetch that takes as long as the test says."""

    def __init__(self) -> None:
        self.may_go_on = threading.Event()
        self.fetched: list[list[bytes]] = []

    def fetch(self, keys: list[bytes]) -> None:
        assert self.may_go_on.wait(20)
        self.fetched.append(keys)


class Rig:
    def __init__(self) -> None:
        self.pump = Pump()
        self.disk = Disk()
        self.reader = Reader(self.pump, self.pump.call_threadsafe, self.disk.fetch)
        self.heard: list[object] = []

    def ask(self, number: int) -> bool:
        return self.reader.ask(b"%d" % number, self.heard.append, number)


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.disk.may_go_on.set()
    rig.reader.close()


def test_each_is_called_once_and_those_that_came_meanwhile_share_a_fetch(rig: Rig) -> None:
    for number in range(100):
        assert rig.ask(number)
    assert rig.heard == []
    rig.disk.may_go_on.set()
    rig.pump.run_until(lambda: len(rig.heard) == 100)
    assert rig.heard == list(range(100))
    assert [key for keys in rig.disk.fetched for key in keys] == [b"%d" % n for n in range(100)]
    assert len(rig.disk.fetched) <= 3


def test_what_does_not_fit_is_turned_down(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "READS_MAX", 3)
    assert [rig.ask(number) for number in range(5)] == [True, True, True, False, False]
    rig.disk.may_go_on.set()
    rig.pump.run_until(lambda: len(rig.heard) == 3)
    assert rig.ask(5)


def test_the_loop_hears_of_a_fetch_also_by_waiting_for_it(rig: Rig) -> None:
    rig.ask(1)
    rig.disk.may_go_on.set()
    while not rig.heard:
        rig.pump.timers.pop().go_off()
        rig.pump.drain()
    assert rig.heard == [1]


def test_nobody_is_called_once_it_is_closed() -> None:
    rig = Rig()
    rig.ask(1)
    rig.disk.may_go_on.set()
    rig.reader.close()
    rig.pump.drain()
    for timer in rig.pump.timers:
        timer.go_off()
    rig.pump.drain()
    assert rig.heard == []


# With the engine


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def opened(path: Path, pump: Pump) -> RocksStore:
    store = RocksStore.open(path, pump, InlineSyncer(pump.call_soon), never)
    store.read_in_thread(pump.call_threadsafe)
    return store


def unexpected(_arg: object) -> None:
    raise AssertionError("it was at hand")


def test_what_is_in_memory_is_at_hand_and_what_is_on_disk_only_is_not(tmp_path: Path) -> None:
    pump, heard = Pump(), list[object]()
    store = opened(tmp_path, pump)
    store.write(b"key", b"gathering")
    assert store.find(b"key", unexpected, None) == b"gathering"
    pump.drain()
    assert store.find(b"key", unexpected, None) == b"gathering"
    assert store.find(b"absent", unexpected, None) is None
    store.flush()
    store.close()

    store = opened(tmp_path, pump)
    assert store.find(b"key", heard.append, "cold") is COLD
    pump.run_until(lambda: heard == ["cold"])
    assert store.find(b"key", unexpected, None) == b"gathering"
    assert store.get(b"key") == b"gathering"
    store.close()


def test_what_was_found_does_not_outlive_a_write(tmp_path: Path) -> None:
    pump = Pump()
    store = opened(tmp_path, pump)
    store.write(b"key", b"old")
    assert store.find(b"key", unexpected, None) == b"old"
    store.write(b"key", b"new")
    assert store.find(b"key", unexpected, None) == b"new"
    store.write(b"key", None)
    assert store.find(b"key", unexpected, None) is None
    store.close()


def test_without_a_thread_everything_is_read_at_once(tmp_path: Path) -> None:
    pump = Pump()
    store = opened(tmp_path, pump)
    store.write(b"key", b"value")
    store.flush()
    store.close()
    store = RocksStore.open(tmp_path, pump, InlineSyncer(pump.call_soon), never)
    assert store.find(b"key", unexpected, None) == b"value"
    store.close()
