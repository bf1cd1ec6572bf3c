from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvorum.journal.entries import OpenEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.sim.disk import Disk, DiskStore
from kvorum.sim.disk_log import DiskLog
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.storage.identity import Facts, Identity

IDENTITY = Identity(Facts("c", "n0", 16, "murmur3", 0), "7" * 32, 1, 0, False, {})


def _must_not_fail(error: StorageError) -> None:
    raise error


class Bench:
    """A life's log on a disk, and what it called done."""

    def __init__(self, seed: int = 0, disk: Disk | None = None) -> None:
        self.scheduler = Scheduler(100_000)
        self.disk = disk or Disk(IDENTITY, 0.01, {})
        self.runtime = NodeRuntime(self.scheduler, random.Random(seed), 0)
        self.log = DiskLog(self.disk, self.runtime, random.Random(seed))
        self.done: list[tuple[Any, StorageError | None]] = []

    def journal(self) -> JournaledStore:
        """One in front of the disk, which has taken up what is in the log."""
        store = DiskStore(self.disk, self.runtime, random.Random(0))
        limits = SegmentLimits(4096, 4096, 1.0)
        journal = JournaledStore(
            store, self.log, OpenEntries(), self.runtime, limits, _must_not_fail
        )
        assert journal.replay() is None
        return journal

    def append(self, *entries: bytes) -> None:
        for entry in entries:
            self.log.append(entry, self.on_done, entry)

    def release(self, number: int) -> None:
        self.log.release(number, self.on_done, number)

    def on_done(self, arg: Any, error: StorageError | None) -> None:
        self.done.append((arg, error))


def test_entries_are_done_in_order_and_numbered_through() -> None:
    bench = Bench()
    bench.append(b"a", b"b")
    bench.release(1)
    bench.append(b"c")
    assert bench.done == []
    bench.scheduler.run_for(1.0)
    assert bench.done == [(b"a", None), (b"b", None), (1, None), (b"c", None)]
    after = Bench(disk=bench.disk)
    assert list(after.log.entries()) == [(2, b"b"), (4, b"c")]
    assert after.log.last == 4


def test_what_was_released_stays_until_that_is_durable() -> None:
    bench = Bench()
    bench.append(b"a", b"b")
    bench.scheduler.run_for(1.0)
    bench.release(2)
    assert list(Bench(disk=bench.disk).log.entries()) == [(1, b"a"), (2, b"b")]
    bench.scheduler.run_for(1.0)
    assert list(Bench(disk=bench.disk).log.entries()) == []
    assert Bench(disk=bench.disk).log.last == 3


@given(st.integers(0, 1000), st.integers(0, 8), st.floats(0, 0.05))
def test_a_crash_leaves_all_that_was_done_and_some_of_what_follows(
    seed: int, count: int, seconds: float
) -> None:
    bench = Bench(seed)
    entries = [b"%d" % number for number in range(count)]
    bench.append(*entries)
    bench.scheduler.run_for(seconds)
    lost = bench.log.crash()
    left = [entry for _, entry in Bench(disk=bench.disk).log.entries()]
    assert left == entries[: count - lost]
    assert len(left) >= len(bench.done)


def test_a_crash_may_leave_any_of_what_was_not_done() -> None:
    lost = set()
    for seed in range(60):
        bench = Bench(seed)
        bench.append(b"a", b"b", b"c")
        lost.add(bench.log.crash())
    assert lost == {0, 1, 2, 3}


def test_nothing_is_durable_on_a_disk_that_failed() -> None:
    bench = Bench()
    bench.append(b"a")
    bench.scheduler.run_for(1.0)
    bench.append(b"b")
    bench.log.fail()
    bench.append(b"c")
    bench.scheduler.run_for(1.0)
    assert bench.done == [(b"a", None), (b"b", bench.log.failed), (b"c", bench.log.failed)]
    assert isinstance(bench.log.failed, StorageError)
    assert list(Bench(disk=bench.disk).log.entries()) == [(1, b"a")]


def test_a_stop_leaves_all() -> None:
    bench = Bench()
    bench.append(b"a", b"b")
    bench.log.close()
    assert list(Bench(disk=bench.disk).log.entries()) == [(1, b"a"), (2, b"b")]


def test_a_node_that_stops_in_order_hands_over_what_it_has_gathered() -> None:
    """Nobody was told that it is there; but the next life goes on after the dot in it."""
    bench = Bench()
    journal = bench.journal()
    journal.put(b"n", b"noted", lambda _arg, _error: None, None)
    journal.close()
    bench.log.close()
    after = Bench(disk=bench.disk).journal()
    assert after.get(b"n") == b"noted"
