"""RocksDB as kvorum runs it: one column family of raw bytes, opened with options on purpose.

The write path is log, memtable, sorted files; the read path is memtable, then per file a
bloom filter, an index block and a data block, through one block cache. Memtables are charged
to that cache, so its capacity bounds both (`budget.py`). The engine's own threads flush and
compact; they never take the interpreter's lock. `docs/storage.md` tells the whole story.

    log          A log ends well, or in a torn record where the machine lost power: what was
                 synced is before it. Recovery stops there ("point in time"), so that what
                 survives is a prefix of the writes. Stopping anywhere else would drop writes
                 that may have been acknowledged, which the engine does without a word; so it
                 is first opened in the mode that bears no damage, and where that refuses, what
                 comes after the damage decides: nothing, in the last log, is a torn record, and
                 anything else has to be noted before it is lost (`forget`). A page that was
                 never synced may be missing before one that was written; this looks like
                 damage, and is treated so. Logs are not archived, and a log
                 that pins old memtables forces their flush at `LOGS_BYTES_MAX`. Log files are
                 not reused: their sync would be a third faster, but then recovery must tell
                 new records from old ones at the end of every log.
    memtables    On a small disk a memtable is at most a sixteenth of it, as what is in memory
                 has to fit on the disk twice, in the log and in a file.
                 A third one absorbs writes while a full one is flushed; with only two the
                 engine would stop writers, and a stopped write holds the event loop.
    sorted files LZ4; the last level, where most data lies, Zstandard. Level sizes follow the
                 data (dynamic), which keeps dead versions to about a tenth. Bloom filters of
                 10 bits a key spare 99% of the reads of files without the key. Filters and
                 indexes live in the block cache, else they would grow with the data.
                 Files are synced a megabyte at a time while they are written; one large
                 sync at their end would delay the log's.
    handles      256 open files, fewer where the limit is low (`runtime/descriptors.py`).
    info log     4 files of 1 MB, no periodic statistics.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    WriteBufferManager,
)

from kvorum.model.errors import ConfigError, StorageError
from kvorum.runtime.descriptors import ENGINE_MAX
from kvorum.storage.budget import MEMORY_DEFAULT, MEMTABLES_MAX, Budget
from kvorum.storage.engine_threads import check_not_forked, note_start
from kvorum.storage.pressure import DELAY_FILES, STOP_FILES
from kvorum.storage.space import SMALL_PART, mount_point, total_bytes

MEMTABLE_BYTES_MIN: Final = 1 << 20
LOGS_BYTES_MAX: Final = 256 << 20

CURRENT: Final = "CURRENT"
"""The file that names the engine's newest MANIFEST, and with it all others."""

CORRUPTION: Final = "Corruption"
"""What the engine's untyped errors begin with where a file fails its checks."""
_LOCKED: Final = ("While lock file", "lock hold by current process")


_DEFAULT: Final = Budget.split(MEMORY_DEFAULT)


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`cache_bytes` is for blocks and memtables together."""

    memtable_bytes: int = _DEFAULT.memtable_bytes
    cache_bytes: int = _DEFAULT.cache_bytes
    open_files: int = ENGINE_MAX

    @classmethod
    def within(cls, budget: Budget, open_files: int) -> EngineSettings:
        """The settings of an engine that keeps to `budget`."""
        return cls(budget.memtable_bytes, budget.cache_bytes, open_files)


Forget = Callable[[str], object]
"""Told why the log is damaged, before what it holds beyond the damage is given up."""


def open_engine(
    path: Path,
    settings: EngineSettings,
    forget: Forget | None = None,
    cache: Cache | None = None,
) -> Rdict:
    """The engine at `path`; a new one where there is no CURRENT. `cache`: for its blocks and
    memtables; made of the size in the settings where none is given.

    Raises ConfigError if its files are in use, else StorageError: also for a damaged log, if
    there is no `forget`.
    """
    check_not_forked()
    cache = cache or Cache(settings.cache_bytes)
    options = _options(cache, settings.open_files, _memtable_bytes(path, settings.memtable_bytes))
    try:
        return _opened(path, options, DBRecoveryMode.absolute_consistency())
    except Exception as error:
        if any(sign in str(error) for sign in _LOCKED):
            raise ConfigError(
                f"{path} is in use: another store has it open. Stop that one, or choose another "
                "data directory."
            ) from error
        if not _is_of_the_log(error, path, options, forget):
            raise _refusal(path, error) from error
    return _opened(path, options, DBRecoveryMode.point_in_time())


def _is_of_the_log(error: Exception, path: Path, options: Options, forget: Forget | None) -> bool:
    """True if `error` is that of a log which does not end well, and may be read up to there."""
    if CORRUPTION not in str(error):
        return False
    sound = _last_write(path, options, DBRecoveryMode.point_in_time())
    if sound is None:
        return False
    torn = _last_write(path, options, DBRecoveryMode.tolerate_corrupted_tail_records())
    if torn != sound:
        if forget is None:
            return False
        forget(str(error))
    return True


def _last_write(path: Path, options: Options, mode: DBRecoveryMode) -> int | None:
    """The number of the last write that is found in `mode`, if it finds any. Changes nothing."""
    try:
        engine = _opened(path, options, mode, AccessType.read_only())
    except Exception as error:
        if CORRUPTION not in str(error):
            raise _refusal(path, error) from error
        return None
    last = engine.latest_sequence_number()
    engine.close()
    return last


def _opened(
    path: Path, options: Options, mode: DBRecoveryMode, access: AccessType | None = None
) -> Rdict:
    note_start()
    options.set_wal_recovery_mode(mode)
    access = access or AccessType.read_write()
    # Options given without their column family lose to those stored with the files.
    return Rdict(str(path), options, column_families={"default": options}, access_type=access)


def _refusal(path: Path, error: Exception) -> StorageError:
    return StorageError(
        f"The storage engine cannot open its files in {path}: {str(error).rstrip('.')}. If the "
        "disk is full, make room; if a file is damaged or missing, restore it, or give the node "
        "its data again: from the other nodes with 'kvorum rebuild', else from a snapshot."
    )


def failure(engine: Rdict, what: str, error: Exception) -> StorageError:
    """What to say when the engine could not do `what`, and no write can follow."""
    why = str(error).rstrip(".")
    if why.startswith("Corruption"):
        step = (
            "A file is damaged: stop the node, and give it its data again, from the other nodes "
            "with 'kvorum rebuild', else from a snapshot."
        )
    else:
        mounted = mount_point(Path(engine.path()).absolute())
        step = (
            f"Check the file system at {mounted} (room, the kernel's log), then restart the node, "
            "which goes on with all it has acknowledged."
        )
    return StorageError(
        f"The storage engine could not {what}: {why}. The store takes no more writes, as it "
        f"cannot tell what is on the disk. {step}",
        outcome="unknown",
    )


def abandon(engine: Rdict) -> None:
    """Leave `engine` as it is, since its path leads to another's files: neither close nor collect
    it, as either would write files and remove some, by their path. So it is never freed while this
    process lives, which cannot open that path again.
    """
    engine.cancel_all_background(True)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))


def bytes_in_memory(engine: Rdict) -> int:
    """How much the engine has yet to write to sorted files."""
    return int(engine.property_int_value("rocksdb.cur-size-all-mem-tables") or 0)


def _memtable_bytes(path: Path, wanted: int) -> int:
    return min(wanted, max(MEMTABLE_BYTES_MIN, total_bytes(path.parent) // SMALL_PART))


def _options(cache: Cache, open_files: int, memtable_bytes: int) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)

    options.set_max_total_wal_size(LOGS_BYTES_MAX)
    options.set_wal_ttl_seconds(0)
    options.set_wal_size_limit_mb(0)
    options.set_recycle_log_file_num(0)

    options.set_write_buffer_size(memtable_bytes)
    options.set_max_write_buffer_number(MEMTABLES_MAX)
    # It only keeps accounts here: the two limits above are reached first.
    options.set_write_buffer_manager(
        WriteBufferManager.new_write_buffer_manager_with_cache(
            MEMTABLES_MAX * memtable_bytes, False, cache
        )
    )

    options.set_level_zero_slowdown_writes_trigger(DELAY_FILES)
    options.set_level_zero_stop_writes_trigger(STOP_FILES)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_block_based_table_factory(_tables(cache))
    options.set_max_background_jobs(2)
    options.set_bytes_per_sync(1 << 20)
    options.set_max_open_files(open_files)

    options.set_max_log_file_size(1 << 20)
    options.set_keep_log_file_num(4)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _tables(cache: Cache) -> BlockBasedOptions:
    tables = BlockBasedOptions()
    tables.set_block_cache(cache)
    tables.set_bloom_filter(10, block_based=False)
    tables.set_cache_index_and_filter_blocks(True)
    tables.set_pin_l0_filter_and_index_blocks_in_cache(True)
    return tables
