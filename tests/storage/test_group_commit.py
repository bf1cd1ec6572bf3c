"""How RocksStore groups writes, waits for them, and fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.runtime import Answers, Pump

from kvorum.model.errors import StorageError
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import Finished, InlineSyncer, Sync, ThreadSyncer


class HeldSyncer:
    """Syncs end when the test says so."""

    def __init__(self) -> None:
        self.waits = True
        self.started = 0
        self.waited = 0
        self.closed = False
        self.running: Finished | None = None

    def start(self, sync: Sync, finished: Finished) -> None:
        assert self.running is None, "one sync at a time"
        self.started += 1
        self.running = finished

    def end(self, error: StorageError | None = None) -> None:
        assert self.running is not None
        finished, self.running = self.running, None
        finished(error)

    def wait(self) -> None:
        self.waited += 1
        self.end()

    def choose(self, waits: bool) -> None:
        self.waits = waits

    def close(self) -> None:
        assert self.running is None
        self.closed = True


class FragileEngine:
    """The engine, until `broken` is given."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.broken: Exception | None = None
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def _attempt(self, name: str, *args: Any) -> None:
        self.calls.append(name)
        if self.broken is not None:
            raise self.broken
        getattr(self.engine, name)(*args)

    def write(self, writes: Any) -> None:
        self._attempt("write", writes)

    def flush_wal(self, sync: bool) -> None:
        self._attempt("flush_wal", sync)


class Bench:
    """A store on real files, with its parts at hand."""

    def __init__(self, path: Path, batch_bytes_max: int) -> None:
        self.pump = Pump()
        self.syncer = HeldSyncer()
        self.engine = FragileEngine(open_engine(path, EngineSettings()))
        self.answers = Answers()
        self.failures: list[StorageError] = []
        engine: Any = self.engine
        self.store = RocksStore(
            engine, self.pump, self.syncer, self.failures.append, batch_bytes_max
        )

    def put(self, *args: int) -> None:
        for arg in args:
            self.store.put(b"k%03d" % arg, b"value", self.answers.done, arg)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "rocks", batch_bytes_max=1 << 20)
    yield bench
    bench.store.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Bench]:
    """Nine bytes a put: batches of three."""
    bench = Bench(tmp_path / "rocks", batch_bytes_max=25)
    yield bench
    bench.store.close()


def test_writes_of_one_turn_share_a_sync(bench: Bench) -> None:
    bench.put(1, 2)
    assert bench.syncer.started == 0
    bench.put(3)
    bench.pump.drain()
    assert bench.syncer.started == 1
    assert bench.answers.args == []
    bench.syncer.end()
    assert bench.answers.args == [1, 2, 3]
    assert bench.engine.calls == ["write"]


def test_writes_that_come_during_a_sync_share_the_next_one(bench: Bench) -> None:
    bench.put(1)
    bench.pump.drain()
    bench.put(2)
    bench.pump.drain()
    bench.put(3, 4)
    bench.pump.drain()
    assert bench.syncer.started == 1
    bench.syncer.end()
    assert bench.answers.args == [1]
    assert bench.syncer.started == 2
    bench.syncer.end()
    assert bench.answers.args == [1, 2, 3, 4]
    assert bench.engine.calls == ["write"] * 2


def test_the_next_commit_is_under_way_when_the_callbacks_run(bench: Bench) -> None:
    started = []
    bench.store.put(b"a", b"", lambda _arg, _error: started.append(bench.syncer.started), None)
    bench.pump.drain()
    bench.put(1)
    bench.syncer.end()
    assert started == [2]


def test_a_full_batch_is_sealed_and_order_is_kept(small: Bench) -> None:
    small.put(*range(8))
    small.pump.drain()
    assert small.store.get(b"k007") == b"value"
    for wanted in ([0, 1, 2], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6, 7]):
        small.syncer.end()
        assert small.answers.args == wanted
    assert small.syncer.started == 3


def test_the_last_of_several_sealed_writes_of_a_key_wins(small: Bench) -> None:
    for number in range(10):
        small.store.put(b"key", b"value-%d" % number, small.answers.done, number)
        assert small.store.get(b"key") == b"value-%d" % number
        assert small.store.scan(b"a", b"z", 9) == [(b"key", b"value-%d" % number)]
    small.store.close()
    assert small.answers.args == list(range(10))


def test_of_two_sealed_writes_of_a_key_the_later_is_seen(small: Bench) -> None:
    for number in range(6):
        small.store.put(b"key", b"value-%d" % number, small.answers.done, number)
    small.put(1)
    assert small.store.get(b"key") == b"value-5"
    assert small.store.scan(b"key", b"key~", 9) == [(b"key", b"value-5")]


def test_what_is_filed_is_written_and_waits_for_nobodys_sync(bench: Bench) -> None:
    bench.store.write(b"a", b"1")
    bench.store.write(b"b", b"2")
    bench.store.write(b"a", None)
    bench.pump.drain()
    assert bench.engine.calls == ["write"]
    assert bench.syncer.started == 0
    assert bench.store.scan(b"", b"z", 9) == [(b"b", b"2")]
    bench.store.write(b"c", b"3")
    bench.pump.drain()
    assert bench.engine.calls == ["write", "write"]
    assert bench.syncer.started == 0


def test_a_sync_waits_for_what_was_filed_before_it(bench: Bench) -> None:
    bench.store.write(b"a", b"1")
    bench.pump.drain()
    bench.store.sync(bench.answers.done, "synced")
    bench.pump.drain()
    assert bench.answers.args == []
    assert bench.syncer.started == 1
    bench.syncer.end()
    assert bench.answers.args == ["synced"]


def test_what_is_filed_during_a_sync_is_written_behind_it(bench: Bench) -> None:
    bench.put(1)
    bench.pump.drain()
    bench.store.write(b"a", b"1")
    bench.store.sync(bench.answers.done, "synced")
    bench.put(2)
    assert bench.store.get(b"a") == b"1"
    bench.syncer.end()
    assert bench.answers.args == [1]
    assert bench.syncer.started == 2
    bench.syncer.end()
    assert bench.answers.args == [1, "synced", 2]


def test_filed_batches_that_are_full_follow_one_another(small: Bench) -> None:
    for number in range(20):
        small.store.write(b"k%03d" % number, b"value")
    small.pump.drain()
    assert len(small.engine.calls) >= 20 // 3
    assert small.syncer.started == 0
    assert len(small.engine.engine.get([b"k%03d" % number for number in range(20)])) == 20
    assert small.store.get(b"k019") == b"value"


def test_close_writes_what_was_filed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "rocks", batch_bytes_max=25)
    for number in range(9):
        bench.store.write(b"k%03d" % number, b"value")
    bench.store.close()
    engine = open_engine(tmp_path / "rocks", EngineSettings())
    assert engine.get(b"k008") == b"value"
    engine.close()


def test_a_write_that_fails_is_told_though_nobody_waits(bench: Bench) -> None:
    bench.engine.broken = Exception("no space left on device")
    bench.store.write(b"a", b"1")
    bench.pump.drain()
    assert len(bench.failures) == 1
    assert bench.store.failed is bench.failures[0]
    bench.store.write(b"b", b"1")
    bench.store.sync(bench.answers.done, 1)
    bench.pump.drain()
    assert bench.engine.calls == ["write"]
    assert bench.answers.args == [1]


def test_close_waits_for_all_that_is_pending(small: Bench) -> None:
    small.put(1)
    small.pump.drain()
    small.put(*range(2, 9))
    small.store.close()
    assert small.answers.args == list(range(1, 9))
    assert small.answers.errors == [None] * 8
    assert small.syncer.waited == small.syncer.started == 4
    assert small.syncer.closed
    small.pump.drain()  # what was still scheduled does no harm


def test_close_commits_what_was_only_put(bench: Bench) -> None:
    bench.put(1)
    bench.store.close()
    assert bench.answers.args == [1]
    bench.pump.drain()
    assert bench.engine.calls == ["write"]


def test_a_write_after_close_is_refused(bench: Bench) -> None:
    bench.store.close()
    bench.put(1)
    assert bench.answers.args == []
    bench.pump.drain()
    assert bench.answers.args == [1]
    assert isinstance(bench.answers.errors[0], StorageError)
    with pytest.raises(StorageError):
        bench.store.get(b"k")


def test_a_write_that_a_callback_makes_during_close_is_refused(bench: Bench) -> None:
    bench.store.put(b"a", b"", lambda _arg, _error: bench.put(1), None)
    bench.store.close()
    bench.pump.drain()
    assert bench.answers.args == [1]
    assert isinstance(bench.answers.errors[0], StorageError)


def refused(bench: Bench, args: list[int]) -> bool:
    return bench.answers.args == args and all(
        error is bench.store.failed for error in bench.answers.errors
    )


def test_a_failed_sync_refuses_everything_from_then_on(small: Bench) -> None:
    small.put(1)
    small.pump.drain()
    small.put(*range(2, 9))
    small.syncer.end(StorageError("disk on fire"))
    small.put(9)
    assert small.answers.args == []
    small.pump.drain()
    assert refused(small, list(range(1, 10)))
    assert small.failures == [small.store.failed]
    assert "disk on fire" in str(small.failures[0])
    assert small.syncer.started == 1
    assert small.engine.calls == ["write"]


def test_a_failed_write_refuses_everything_from_then_on(small: Bench) -> None:
    small.put(1)
    small.pump.drain()
    small.put(*range(2, 9))
    small.engine.broken = OSError("No space left on device")
    small.syncer.end()
    assert small.answers.args == [1]
    assert small.answers.errors == [None]
    small.engine.broken = None
    small.answers = Answers()
    small.put(9)
    small.pump.drain()
    # The callbacks of the first eight belong to the first `Answers`.
    assert refused(small, [9])
    assert "No space left on device" in str(small.store.failed)
    assert small.failures == [small.store.failed]
    assert small.syncer.started == 1
    assert small.engine.calls == ["write"] * 2
    assert small.store.get(b"k008") is None


def test_writes_under_way_when_a_write_fails_are_refused_once_and_in_order(small: Bench) -> None:
    small.put(*range(1, 9))
    small.engine.broken = OSError("gone")
    small.pump.drain()
    assert refused(small, list(range(1, 9)))
    assert small.syncer.started == 0


@pytest.mark.parametrize("call", ["write", "flush_wal"])
def test_close_after_a_failure_frees_the_files(call: str, tmp_path: Path) -> None:
    pump, answers = Pump(), Answers()
    engine: Any = FragileEngine(open_engine(tmp_path, EngineSettings()))
    failures: list[StorageError] = []
    store = RocksStore(engine, pump, InlineSyncer(pump.call_soon), failures.append)
    store.put(b"a", b"", answers.done, 1)
    if call == "write":
        engine.broken = OSError("gone")
    else:
        engine.flush_wal = broken_sync
    store.put(b"b", b"", answers.done, 2)
    store.close()
    assert answers.args == [1, 2]
    assert all(error is not None and error is store.failed for error in answers.errors)
    pump.drain()
    assert answers.args == [1, 2]
    assert failures == [store.failed]
    open_engine(tmp_path, EngineSettings()).close()


def broken_sync(_sync: bool) -> None:
    raise OSError("gone")


def test_a_sync_that_fails_in_its_thread_fails_the_store(tmp_path: Path) -> None:
    pump, answers = Pump(), Answers()
    engine: Any = FragileEngine(open_engine(tmp_path, EngineSettings()))
    failures: list[StorageError] = []
    store = RocksStore(engine, pump, ThreadSyncer(pump, pump.call_threadsafe), failures.append)
    store.put(b"a", b"", answers.done, 1)
    engine.flush_wal = broken_sync
    pump.run_until(lambda: bool(failures))
    assert answers.args == [1]
    assert answers.errors == [store.failed]
    assert store.failed is not None
    assert store.failed.outcome == "unknown"
    store.close()


def test_a_callback_that_raises_does_not_cost_the_others_their_answer(bench: Bench) -> None:
    def raising(_arg: None, _error: StorageError | None) -> None:
        raise RuntimeError("a bug")

    bench.put(1)
    bench.store.put(b"a", b"", raising, None)
    bench.put(2, 3)
    bench.pump.drain()
    with pytest.raises(RuntimeError, match="a bug"):
        bench.syncer.end()
    bench.pump.drain()
    assert bench.answers.args == [1, 2, 3]
