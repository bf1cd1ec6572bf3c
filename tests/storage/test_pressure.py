"""An engine that cannot keep up says so before it would make its writer wait."""

from __future__ import annotations

from pathlib import Path

from kit.runtime import Pump, put
from rocksdict import Rdict

from kvorum.model.errors import StorageError
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.pressure import DELAY_FILES, Pressure
from kvorum.storage.rocks import LOOK_AGAIN_S, RocksStore
from kvorum.storage.syncer import NoSyncer

SETTINGS = EngineSettings(memtable_bytes=1 << 20, cache_bytes=8 << 20)


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def held_back(path: Path) -> Rdict:
    """An engine that compacts nothing."""
    engine = open_engine(path, SETTINGS)
    engine.set_options({"disable_auto_compactions": "true"})
    return engine


def add_file(engine: Rdict, number: int) -> None:
    """One more file on level 0."""
    engine.put(b"%06d" % number, b"v")
    engine.flush()


def test_it_is_high_before_the_engine_delays_anybody(tmp_path: Path) -> None:
    engine = held_back(tmp_path)
    pressure, files = Pressure(engine), 0
    while not pressure.is_high():
        add_file(engine, files)
        files += 1
    assert files < DELAY_FILES
    assert engine.property_int_value("rocksdb.actual-delayed-write-rate") == 0
    engine.compact_range(None, None)
    assert not pressure.is_high()
    engine.close()


def test_a_store_says_so_with_the_next_commit_and_takes_it_back_by_itself(tmp_path: Path) -> None:
    engine, pump = held_back(tmp_path), Pump()
    store = RocksStore(engine, pump, NoSyncer(pump.call_soon), never)
    for number in range(DELAY_FILES):
        add_file(engine, number)
    assert not store.pressed
    done: list[object] = []
    put(store, b"key", b"value", lambda _arg, error: done.append(error), None)
    pump.run_until(lambda: bool(done))
    assert done == [None], "what has been taken in is stored nevertheless"
    assert store.pressed
    (timer,) = pump.timers
    assert timer.delay_s == LOOK_AGAIN_S
    timer.go_off()
    assert store.pressed
    engine.compact_range(None, None)
    pump.timers[-1].go_off()
    assert not store.pressed
    assert len(pump.timers) == 2, "nobody looks again until the next commit"
    store.close()


def test_memtables_that_wait_count(tmp_path: Path) -> None:
    class Engine:
        def property_int_value(self, name: str) -> int:
            return 2 if name == "rocksdb.num-immutable-mem-table" else 0

    engine: object = Engine()
    assert Pressure(engine).is_high()  # type: ignore[arg-type]
