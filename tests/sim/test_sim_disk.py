from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.sim.disk import Disk, DiskStore
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.storage.identity import Facts, Identity

IDENTITY = Identity(Facts("c", "n0", 16, "murmur3", 0), "7" * 32, 1, 0, False, {})


class Bench:
    """A store on a disk, and what it called done."""

    def __init__(self, seed: int = 0, disk: Disk | None = None) -> None:
        self.scheduler = Scheduler(100_000)
        self.disk = disk or Disk(IDENTITY, 0.01, {})
        self.runtime = NodeRuntime(self.scheduler, random.Random(seed), 0)
        self.store = DiskStore(self.disk, self.runtime, random.Random(seed))
        self.done: list[tuple[Any, StorageError | None]] = []

    def put(self, key: bytes, value: bytes, arg: Any = None) -> None:
        self.store.write(key, value)
        self.store.sync(self.on_done, arg)

    def delete(self, key: bytes, arg: Any = None) -> None:
        self.store.write(key, None)
        self.store.sync(self.on_done, arg)

    def on_done(self, arg: Any, error: StorageError | None) -> None:
        self.done.append((arg, error))


def test_a_write_is_seen_at_once_and_done_later_in_order() -> None:
    bench = Bench()
    bench.put(b"a", b"1", 1)
    bench.put(b"a", b"2", 2)
    bench.delete(b"a", 3)
    assert bench.store.get(b"a") is None
    assert bench.done == []
    bench.scheduler.run_for(1.0)
    assert bench.done == [(1, None), (2, None), (3, None)]


def test_one_sync_covers_what_gathered_while_the_one_before_ran() -> None:
    bench = Bench()
    times: dict[int, float] = {}

    def on_done(arg: int, _error: StorageError | None) -> None:
        times[arg] = bench.scheduler.now

    bench.store.sync(on_done, 0)
    bench.runtime.call_later(1e-9, bench.store.sync, on_done, 1)
    bench.runtime.call_later(1e-9, bench.store.sync, on_done, 2)
    bench.scheduler.run_for(1.0)
    assert times[0] < times[1] == times[2]


def test_a_scan_is_in_key_order_and_within_its_bounds() -> None:
    bench = Bench()
    for key in (b"c", b"a", b"d", b"b", b"e"):
        bench.put(key, key)
    bench.delete(b"c")
    assert bench.store.scan(b"a", b"e", 10) == [(b"a", b"a"), (b"b", b"b"), (b"d", b"d")]
    assert bench.store.scan(b"b", b"z", 2) == [(b"b", b"b"), (b"d", b"d")]
    assert bench.store.scan(b"x", b"b", 2) == []


writes = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.none() | st.binary(max_size=2)), max_size=30
)


@given(writes, st.integers(0, 5), st.integers(0, 100))
def test_a_crash_leaves_a_prefix_with_all_that_was_done(
    sequence: list[tuple[bytes, bytes | None]], rounds: int, seed: int
) -> None:
    bench = Bench(seed)
    for number, (key, value) in enumerate(sequence):
        if value is None:
            bench.delete(key, number)
        else:
            bench.put(key, value, number)
        if rounds and number % rounds == 0:
            bench.scheduler.run_for(0.005)
    acked = len(bench.done)
    lost = bench.store.crash()
    assert lost <= len(sequence) - acked

    expected: dict[bytes, bytes] = {}
    for key, value in sequence[: len(sequence) - lost]:
        if value is None:
            expected.pop(key, None)
        else:
            expected[key] = value
    assert bench.disk.content == expected
    after = DiskStore(bench.disk, bench.runtime, random.Random(0))
    assert dict(after.scan(b"", b"\xff", 100)) == expected


def test_crashes_leave_different_prefixes() -> None:
    left = set()
    for seed in range(40):
        bench = Bench(seed)
        for number in range(3):
            bench.put(b"%d" % number, b"")
        bench.store.crash()
        left.add(len(bench.disk.content))
    assert left == {0, 1, 2, 3}


def test_a_failed_disk_says_so_of_all_that_is_not_durable_and_of_all_that_follows() -> None:
    bench = Bench()
    bench.put(b"a", b"", "durable")
    bench.scheduler.run_for(1.0)
    bench.put(b"b", b"", "pending")
    bench.store.fail()
    bench.put(b"c", b"", "later")
    bench.scheduler.run_for(1.0)
    assert bench.done[0] == ("durable", None)
    assert [arg for arg, error in bench.done if error is not None] == ["pending", "later"]


def test_a_damaged_record_says_so_until_something_else_is_there() -> None:
    bench = Bench()
    found: list[bytes] = []
    bench.store.on_damaged = found.append
    for key in (b"a", b"b", b"c"):
        bench.put(key, key)
    bench.scheduler.run_for(1.0)
    bench.store.damage(b"b")
    assert bench.store.scan(b"a", b"z", 2) == [(b"a", b"a"), (b"c", b"c")]
    with pytest.raises(CorruptRecord):
        bench.store.get(b"b")
    assert found == [b"b"]
    bench.put(b"b", b"new")
    assert bench.store.get(b"b") == b"new"
    assert len(bench.store.scan(b"a", b"z", 9)) == 3


def test_damage_is_back_if_a_crash_takes_what_replaced_it() -> None:
    for seed in range(20):
        bench = Bench(seed)
        bench.put(b"a", b"old")
        bench.scheduler.run_for(1.0)
        bench.store.damage(b"a")
        bench.put(b"a", b"new")
        forgot = bench.store.crash()
        after = DiskStore(bench.disk, bench.runtime, random.Random(0))
        assert after.is_damaged(b"a") == bool(forgot)


def test_what_is_written_while_the_damage_happens_is_sound() -> None:
    bench = Bench()
    bench.put(b"a", b"old")
    bench.scheduler.run_for(1.0)
    bench.put(b"a", b"new")
    bench.store.damage(b"a")
    assert bench.store.get(b"a") == b"new"
    bench.scheduler.run_for(1.0)
    assert not DiskStore(bench.disk, bench.runtime, random.Random(0)).is_damaged(b"a")


def test_one_read_of_a_record_fails_and_the_next_does_not() -> None:
    bench = Bench()
    bench.put(b"d1", b"")
    bench.store.misread(1)
    with pytest.raises(StorageError):
        bench.store.get(b"d1")
    assert bench.store.get(b"d1") == b""


def test_a_full_disk_is_full_in_the_next_life_too() -> None:
    bench = Bench()
    bench.disk.full = True
    assert bench.store.full
    assert DiskStore(bench.disk, bench.runtime, random.Random(0)).full


def test_after_a_crash_the_next_life_is_a_new_actor() -> None:
    disk = Disk(IDENTITY, 0.01, {})
    first = disk.begin_life()
    Bench(disk=disk).store.crash()
    second = disk.begin_life()
    assert second.actor != first.actor
    assert second.counter == 0


def test_after_a_clean_stop_it_goes_on_where_it_was_with_all_writes() -> None:
    disk = Disk(IDENTITY, 0.01, {})
    first = disk.begin_life()
    bench = Bench(disk=disk)
    bench.put(b"a", b"unsynced")
    bench.store.close(counter=17)
    second = disk.begin_life()
    assert (second.actor, second.counter) == (first.actor, 17)
    assert disk.content == {b"a": b"unsynced"}
    Bench(disk=disk).store.crash()
    assert disk.begin_life().actor != first.actor


def test_what_is_flushed_is_durable_with_the_next_that_somebody_waits_for() -> None:
    bench = Bench()
    bench.store.write(b"a", b"1")
    bench.store.write(b"b", b"2")
    bench.store.write(b"b", None)
    assert bench.store.scan(b"", b"z", 9) == [(b"a", b"1")]
    bench.scheduler.run_for(1.0)
    assert bench.disk.content == {}
    bench.store.sync(bench.on_done, "synced")
    bench.store.write(b"c", b"3")
    bench.scheduler.run_for(1.0)
    assert bench.disk.content.items() >= {(b"a", b"1")}
    assert bench.done == [("synced", None)]
    bench.put(b"d", b"4", 4)
    bench.scheduler.run_for(1.0)
    assert bench.disk.content == {b"a": b"1", b"c": b"3", b"d": b"4"}


def test_a_crash_leaves_any_prefix_of_what_was_flushed() -> None:
    found = set()
    for seed in range(60):
        bench = Bench(seed)
        for key in (b"a", b"b", b"c"):
            bench.store.write(key, b"")
        bench.store.crash()
        found.add(tuple(sorted(bench.disk.content)))
    assert found == {(), (b"a",), (b"a", b"b"), (b"a", b"b", b"c")}
