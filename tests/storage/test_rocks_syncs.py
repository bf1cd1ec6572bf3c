"""When RocksStore syncs, for whom, and how it fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kit.runtime import Answers, Pump, put

from kvorum.model.errors import StorageError
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.rocks import LOOK_EVERY_BYTES, RocksStore
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

    def put(self, key: bytes, value: bytes) -> None:
        self._attempt("put", key, value)

    def delete(self, key: bytes) -> None:
        self._attempt("delete", key)

    def flush_wal(self, sync: bool) -> None:
        self._attempt("flush_wal", sync)


class Bench:
    """A store on real files, with its parts at hand."""

    def __init__(self, path: Path) -> None:
        self.pump = Pump()
        self.syncer = HeldSyncer()
        self.engine = FragileEngine(open_engine(path, EngineSettings()))
        self.answers = Answers()
        self.failures: list[StorageError] = []
        engine: Any = self.engine
        self.store = RocksStore(engine, self.pump, self.syncer, self.failures.append)

    def put(self, *args: int) -> None:
        for arg in args:
            put(self.store, b"k%03d" % arg, b"value", self.answers.done, arg)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "rocks")
    yield bench
    bench.store.close()


def test_a_write_is_in_the_engine_at_once_and_waits_for_no_sync(bench: Bench) -> None:
    bench.store.write(b"a", b"1")
    bench.store.write(b"b", b"2")
    bench.store.write(b"a", None)
    assert bench.engine.engine.get(b"b") == b"2"
    bench.pump.drain()
    assert bench.engine.calls == ["put", "put", "delete"]
    assert bench.syncer.started == 0
    assert bench.store.scan(b"", b"z", 9) == [(b"b", b"2")]


def test_a_sync_is_done_when_the_log_is(bench: Bench) -> None:
    bench.store.write(b"a", b"1")
    bench.store.sync(bench.answers.done, "synced")
    bench.pump.drain()
    assert bench.answers.args == []
    bench.syncer.end()
    assert bench.answers.args == ["synced"]


def test_syncs_that_are_asked_for_during_one_share_the_next(bench: Bench) -> None:
    bench.put(1)
    bench.put(2)
    bench.put(3, 4)
    assert bench.syncer.started == 1
    bench.syncer.end()
    assert bench.answers.args == [1]
    assert bench.syncer.started == 2
    bench.syncer.end()
    assert bench.answers.args == [1, 2, 3, 4]
    assert bench.syncer.started == 2


def test_the_next_sync_is_under_way_when_the_callbacks_run(bench: Bench) -> None:
    started = []
    bench.store.sync(lambda _arg, _error: started.append(bench.syncer.started), None)
    bench.put(1)
    bench.syncer.end()
    assert started == [2]


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def test_a_turn_that_writes_much_looks_around_in_between(tmp_path: Path) -> None:
    class Watch:
        looks = 0
        lost = None

        def look(self) -> None:
            self.looks += 1

    pump, watch = Pump(), Watch()
    directory: Any = watch
    engine = open_engine(tmp_path, EngineSettings())
    store = RocksStore(engine, pump, HeldSyncer(), never, watch=directory)
    for _ in range(2):
        before = watch.looks
        for number in range(10):
            store.write(b"k%d" % number, b"value")
        assert watch.looks == before + 1
        pump.drain()
    for _ in range(2):
        store.write(b"large", bytes(LOOK_EVERY_BYTES))
    assert watch.looks == before + 3
    store.close()


def test_close_syncs_what_was_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "rocks")
    bench.store.write(b"k008", b"value")
    bench.store.close()
    assert bench.syncer.started == bench.syncer.waited == 1
    engine = open_engine(tmp_path / "rocks", EngineSettings())
    assert engine.get(b"k008") == b"value"
    engine.close()


def test_close_waits_for_all_that_somebody_waits_for(bench: Bench) -> None:
    bench.put(*range(1, 9))
    bench.store.close()
    assert bench.answers.args == list(range(1, 9))
    assert bench.answers.errors == [None] * 8
    assert bench.syncer.waited == bench.syncer.started == 2
    assert bench.syncer.closed
    bench.pump.drain()  # what was still scheduled does no harm


def refused(bench: Bench, args: list[int]) -> bool:
    return bench.answers.args == args and all(
        error is bench.store.failed for error in bench.answers.errors
    )


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
    bench.store.sync(lambda _arg, _error: bench.put(1), None)
    bench.store.close()
    bench.pump.drain()
    assert bench.answers.args == [1]
    assert isinstance(bench.answers.errors[0], StorageError)


def test_a_failed_sync_refuses_everything_from_then_on(bench: Bench) -> None:
    bench.put(1, 2, 3)
    bench.syncer.end(StorageError("disk on fire"))
    bench.put(9)
    assert bench.answers.args == []
    bench.pump.drain()
    assert sorted(bench.answers.args) == [1, 2, 3, 9]
    assert all(error is bench.store.failed for error in bench.answers.errors)
    assert bench.failures == [bench.store.failed]
    assert "disk on fire" in str(bench.failures[0])
    assert bench.syncer.started == 1
    assert bench.engine.calls == ["put"] * 3


def test_a_failed_write_raises_nothing_and_refuses_everything_from_then_on(bench: Bench) -> None:
    bench.put(1)
    bench.engine.broken = OSError("No space left on device")
    bench.store.write(b"k008", b"value")
    bench.engine.broken = None
    bench.store.write(b"k009", b"value")
    assert "No space left on device" in str(bench.store.failed)
    bench.pump.drain()
    assert refused(bench, [1])
    assert bench.failures == [bench.store.failed]
    bench.syncer.end()
    bench.pump.drain()
    assert bench.answers.args == [1]
    assert bench.engine.calls == ["put"] * 2
    assert bench.store.get(b"k008") is bench.store.get(b"k009") is None


@pytest.mark.parametrize("call", ["put", "flush_wal"])
def test_close_after_a_failure_frees_the_files(call: str, tmp_path: Path) -> None:
    pump, answers = Pump(), Answers()
    engine: Any = FragileEngine(open_engine(tmp_path, EngineSettings()))
    failures: list[StorageError] = []
    store = RocksStore(engine, pump, InlineSyncer(pump.call_soon), failures.append)
    if call == "put":
        engine.broken = OSError("gone")
    else:
        engine.flush_wal = broken_sync
    put(store, b"a", b"", answers.done, 1)
    put(store, b"b", b"", answers.done, 2)
    store.close()
    pump.drain()
    assert answers.args == [1, 2]
    assert all(error is not None and error is store.failed for error in answers.errors)
    assert failures == [store.failed]
    open_engine(tmp_path, EngineSettings()).close()


def broken_sync(_sync: bool) -> None:
    raise OSError("gone")


def test_a_sync_that_fails_in_its_thread_fails_the_store(tmp_path: Path) -> None:
    pump, answers = Pump(), Answers()
    engine: Any = FragileEngine(open_engine(tmp_path, EngineSettings()))
    failures: list[StorageError] = []
    store = RocksStore(engine, pump, ThreadSyncer(pump, pump.call_threadsafe), failures.append)
    engine.flush_wal = broken_sync
    put(store, b"a", b"", answers.done, 1)
    pump.run_until(lambda: bool(failures))
    assert answers.args == [1]
    assert answers.errors == [store.failed]
    assert store.failed is not None
    assert store.failed.outcome == "unknown"
    store.close()


def test_a_callback_that_raises_does_not_cost_the_others_their_answer(bench: Bench) -> None:
    def raising(_arg: None, _error: StorageError | None) -> None:
        raise RuntimeError("a bug")

    bench.put(0, 1)
    bench.store.sync(raising, None)
    bench.put(2, 3)
    bench.syncer.end()
    with pytest.raises(RuntimeError, match="a bug"):
        bench.syncer.end()
    bench.pump.drain()
    assert bench.answers.args == [0, 1, 2, 3]
