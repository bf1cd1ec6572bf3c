"""RocksStore and its files: reopening, locking, damage, options."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kit.runtime import Answers, Pump, put
from rocksdict import Rdict

from kvorum.model.errors import ConfigError, CorruptRecord, StorageError
from kvorum.storage.engine import EngineSettings, failure, open_engine
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import InlineSyncer, ThreadSyncer


def never(error: StorageError) -> None:
    raise AssertionError(f"the store failed: {error}")


def opened(path: Path) -> RocksStore:
    pump = Pump()
    return RocksStore.open(path, pump, InlineSyncer(pump.call_soon), never)


def filled(path: Path, count: int) -> RocksStore:
    store, answers = opened(path), Answers()
    for number in range(count):
        put(store, b"%06d" % number, b"%d" % number * 20, answers.done, None)
    return store


def test_what_was_closed_is_there_when_opened_again(tmp_path: Path) -> None:
    store, answers = filled(tmp_path, 10), Answers()
    put(store, b"000003", None, answers.done, None)
    store.close()
    store.close()  # does no harm
    store = opened(tmp_path)
    assert store.get(b"000002") == b"2" * 20
    assert store.get(b"000003") is None
    assert len(store.scan(b"", b"\xff", 100)) == 9
    store.close()


def test_scans_leave_nothing_behind_that_keeps_the_files_locked(tmp_path: Path) -> None:
    store = filled(tmp_path, 10)
    store.close()
    store = opened(tmp_path)
    assert len(store.scan(b"", b"\xff", 3)) == 3  # the cursor stopped in the middle
    store.close()
    opened(tmp_path).close()


def test_a_second_store_on_the_same_files_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    with pytest.raises(ConfigError, match=r"another store has it open\. Stop that one"):
        opened(tmp_path)
    store.close()


def test_a_second_process_on_the_same_files_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    script = (
        "import sys; from pathlib import Path\n"
        "from kvorum.model.errors import ConfigError\n"
        "from kvorum.storage.engine import EngineSettings, open_engine\n"
        "try: open_engine(Path(sys.argv[1]), EngineSettings())\n"
        "except ConfigError as error: print(error)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.count("\n") == 1
    assert str(tmp_path) in ended.stdout
    assert "another store has it open. Stop that one" in ended.stdout
    store.close()


def test_files_that_cannot_be_opened_are_a_storage_error(tmp_path: Path) -> None:
    filled(tmp_path, 10).close()
    (tmp_path / "CURRENT").write_text("nonsense\n")
    pump = Pump()
    syncer = ThreadSyncer(pump, pump.call_threadsafe)
    with pytest.raises(StorageError, match="cannot open its files") as refused:
        RocksStore.open(tmp_path, pump, syncer, never)
    assert ".." not in str(refused.value)
    assert not syncer._thread.is_alive()


def test_who_cannot_write_for_a_damaged_file_is_told_to_rebuild_and_not_to_restart(
    tmp_path: Path,
) -> None:
    engine = Rdict(str(tmp_path))
    try:
        damage = failure(engine, "write to its log", Exception("Corruption: wrong checksum."))
        assert "wrong checksum. The store" in damage.message
        assert "kvorum rebuild" in damage.message
        assert "restart" not in damage.message
        full = failure(engine, "write to its log", Exception("IO error: no space"))
        assert "restart the node" in full.message
    finally:
        engine.close()


@pytest.fixture
def damaged(tmp_path: Path) -> RocksStore:
    """A store of 20,000 keys whose file has a damaged block somewhere in its middle."""
    filled(tmp_path, 20_000).close()
    (file,) = tmp_path.glob("*.sst")
    data = bytearray(file.read_bytes())
    for offset in range(64):
        data[len(data) // 2 + offset] ^= 0xFF
    file.write_bytes(data)
    return opened(tmp_path)


def test_a_scan_that_leaves_out_a_damaged_block_says_so(damaged: RocksStore) -> None:
    assert 19_000 < len(damaged.scan(b"", b"\xff", 1 << 30)) < 20_000
    (said,) = damaged.damaged_files.found.values()
    assert "Corruption" in said
    damaged.close()


def test_a_damaged_block_fails_the_reads_of_its_keys_only(damaged: RocksStore) -> None:
    assert damaged.get(b"000000") == b"0" * 20
    unreadable = [number for number in range(20_000) if not readable(damaged, b"%06d" % number)]
    assert 0 < len(unreadable) < 1000
    with pytest.raises(CorruptRecord, match="is damaged: Corruption"):
        damaged.get(b"%06d" % unreadable[0])
    assert damaged.get(b"019999") == b"19999" * 20
    damaged.close()


def readable(store: RocksStore, key: bytes) -> bool:
    try:
        store.get(key)
    except StorageError:
        return False
    return True


def test_options_hold_also_for_files_that_were_made_with_others(tmp_path: Path) -> None:
    for mebibytes in (3, 5):
        size = mebibytes << 20
        engine = open_engine(tmp_path, EngineSettings(memtable_bytes=size, cache_bytes=size))
        assert engine.property_int_value("rocksdb.block-cache-capacity") == size
        engine.close()
        newest = max(tmp_path.glob("OPTIONS-*"), key=lambda file: file.name)
        lines = {line.strip() for line in newest.read_text().splitlines()}
        assert f"write_buffer_size={size}" in lines
        assert "filter_policy=bloomfilter" in lines
        assert "compression=kLZ4Compression" in lines
        assert "bottommost_compression=kZSTD" in lines
