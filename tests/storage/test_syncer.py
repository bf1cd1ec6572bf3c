"""Syncers: when they sync, when they answer, and that a busy loop cannot starve them."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable

import pytest
from kit.runtime import DEADLINE_S, Pump

from kvorum.model.errors import StorageError
from kvorum.storage.syncer import AdaptiveSyncer, InlineSyncer, NoSyncer, Syncer, ThreadSyncer

MAKERS: list[Callable[[Pump], Syncer]] = [
    lambda pump: ThreadSyncer(pump, pump.call_threadsafe),
    lambda pump: InlineSyncer(pump.call_soon),
    lambda pump: AdaptiveSyncer(pump, pump.call_threadsafe),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("error", [None, StorageError("no")])
def test_it_syncs_and_answers_later(
    make: Callable[[Pump], Syncer], error: StorageError | None
) -> None:
    pump = Pump()
    syncer = make(pump)
    syncs: list[int] = []
    outcomes: list[StorageError | None] = []

    def sync() -> None:
        syncs.append(1)
        if error is not None:
            raise error

    syncer.start(sync, outcomes.append)
    assert outcomes == []
    pump.run_until(lambda: bool(outcomes))
    assert (syncs, outcomes) == ([1], [error])
    syncer.close()


@pytest.mark.parametrize("make", MAKERS)
def test_waiting_answers_at_once_and_only_once(make: Callable[[Pump], Syncer]) -> None:
    pump = Pump()
    syncer = make(pump)
    outcomes: list[str] = []
    syncer.start(lambda: None, lambda _error: outcomes.append("first"))
    syncer.wait()
    assert outcomes == ["first"]
    syncer.start(lambda: None, lambda _error: outcomes.append("second"))
    pump.run_until(lambda: len(outcomes) == 2)
    assert outcomes == ["first", "second"]
    syncer.close()
    pump.drain()
    assert outcomes == ["first", "second"]


def test_no_syncer_leaves_the_disk_alone() -> None:
    pump = Pump()
    outcomes: list[StorageError | None] = []
    NoSyncer(pump.call_soon).start(lambda: pytest.fail("a sync"), outcomes.append)
    assert outcomes == []
    pump.drain()
    assert outcomes == [None]


def test_a_thread_syncer_waits_elsewhere_and_leaves_no_thread() -> None:
    pump = Pump()
    syncer = ThreadSyncer(pump, pump.call_threadsafe)
    before = threading.active_count()
    seen: list[threading.Thread] = []
    outcomes: list[StorageError | None] = []
    syncer.start(lambda: seen.append(threading.current_thread()), outcomes.append)
    syncer.wait()
    assert seen != [threading.current_thread()]
    assert outcomes == [None]
    syncer.close()
    assert threading.active_count() == before - 1


class Disk:
    """A disk whose syncs take as long as the test says, on the pump's clock."""

    def __init__(self, pump: Pump) -> None:
        self.sync_s = 0.0
        self.on_loop = 0
        self._pump = pump

    def sync(self) -> None:
        self._pump.time += self.sync_s
        self.on_loop += threading.current_thread() is threading.main_thread()


def test_a_slow_disk_is_waited_for_in_a_thread_until_it_is_fast_again() -> None:
    pump = Pump()
    syncer = AdaptiveSyncer(pump, pump.call_threadsafe)
    disk = Disk(pump)

    def syncs_on_loop(count: int) -> int:
        before = disk.on_loop
        for _ in range(count):
            syncer.start(disk.sync, lambda error: None)
            syncer.wait()
        return disk.on_loop - before

    disk.sync_s = 0.0003
    assert syncs_on_loop(100) == 100
    disk.sync_s = 0.008
    assert syncs_on_loop(10) < 10
    assert 5 < syncs_on_loop(640) < 20
    disk.sync_s = 0.0003
    assert syncs_on_loop(6400) > 640
    assert syncs_on_loop(100) == 100
    syncer.close()


def test_one_slow_sync_is_forgotten() -> None:
    pump = Pump()
    syncer = AdaptiveSyncer(pump, pump.call_threadsafe)
    disk = Disk(pump)
    for sync_s in (0.0003, 3.0, *[0.0003] * 300):
        disk.sync_s = sync_s
        syncer.start(disk.sync, lambda error: None)
        syncer.wait()
    assert disk.on_loop > 290
    syncer.close()


def test_waiting_works_when_the_loop_is_closed() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    syncer = ThreadSyncer(Pump(), loop.call_soon_threadsafe)
    outcomes: list[StorageError | None] = []
    for _ in range(2):
        syncer.start(lambda: None, outcomes.append)
        syncer.wait()
    assert outcomes == [None, None]
    syncer.close()


def test_where_a_sync_is_late_the_loop_pauses_for_it_ever_more_rarely() -> None:
    pump = Pump()
    syncer = ThreadSyncer(pump, pump.call_threadsafe)
    disk = threading.Event()
    outcomes: list[StorageError | None] = []
    syncer.start(lambda: wait_for(disk), outcomes.append)
    for late in range(3):
        assert len(pump.timers) == late + 1
        pump.timers[-1].go_off()
    assert outcomes == []
    assert [timer.delay_s for timer in pump.timers] == pytest.approx([0.001, 0.002, 0.004, 0.008])
    disk.set()
    while not outcomes:
        pump.timers[-1].go_off()
    assert outcomes == [None]
    assert pump.timers[-1].cancelled
    syncer.close()


def wait_for(event: threading.Event) -> None:
    assert event.wait(DEADLINE_S)


def test_a_loop_that_never_frees_the_interpreter_does_not_starve_the_thread() -> None:
    """The longest switch interval: nobody can take the lock, it must be given."""
    pump = Pump()
    syncer = ThreadSyncer(pump, pump.call_threadsafe)
    outcomes: list[StorageError | None] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        for syncs in range(1, 21):
            syncer.start(lambda: None, outcomes.append)
            give_up = time.monotonic() + DEADLINE_S
            while len(outcomes) < syncs and time.monotonic() < give_up:
                pump.timers[-1].go_off()
            assert outcomes == [None] * syncs
    finally:
        sys.setswitchinterval(interval)
    syncer.close()
