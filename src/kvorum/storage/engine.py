"""RocksDB as kvorum runs it: one column family of raw bytes, opened with options on purpose.

The write path is log, memtable, sorted files; the read path is memtable, then per file a
bloom filter, an index block and a data block, through one block cache. Memory is bounded by
`MEMTABLES_MAX` memtables plus the cache. The engine's own threads flush and compact; they
never take the interpreter's lock.

    log          Recovery stops at the first damaged record ("point in time"), so that what
                 survives a crash is a prefix of the writes. Logs are not archived, and a log
                 that pins old memtables forces their flush at `LOGS_BYTES_MAX`. Log files are
                 not reused: their sync would be a third faster, but then recovery must tell
                 new records from old ones at the end of every log.
    memtables    A third one absorbs writes while a full one is flushed; with only two the
                 engine would stop writers, and a stopped write holds the event loop.
    sorted files LZ4; the last level, where most data lies, Zstandard. Level sizes follow the
                 data (dynamic), which keeps dead versions to about a tenth. Bloom filters of
                 10 bits a key spare 99% of the reads of files without the key. Filters and
                 indexes live in the block cache, else they would grow with the data.
                 Files are synced a megabyte at a time while they are written; one large
                 sync at their end would delay the log's.
    handles      256 open files: a node on a default limit of 1,024 keeps the rest for links.
    info log     4 files of 1 MB, no periodic statistics.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
)

from kvorum.model.errors import ConfigError, StorageError

MEMTABLES_MAX: Final = 3
LOGS_BYTES_MAX: Final = 256 << 20

_LOCKED: Final = ("While lock file", "lock hold by current process")


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    memtable_bytes: int = 64 << 20
    cache_bytes: int = 64 << 20


def open_engine(path: Path, settings: EngineSettings) -> Rdict:
    """Raises ConfigError if the engine's files at `path` are in use, else StorageError."""
    options = _options(settings)
    try:
        # Options given without their column family lose to those stored with the files.
        return Rdict(str(path), options, column_families={"default": options})
    except Exception as error:
        if any(sign in str(error) for sign in _LOCKED):
            raise ConfigError(
                f"wanted {path} for this store alone, but another store has it open; "
                "stop that one or choose another data directory"
            ) from error
        raise StorageError(
            f"the engine cannot open its files in {path}: {error}; "
            "free the disk or restore the files"
        ) from error


def _options(settings: EngineSettings) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)

    options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
    options.set_max_total_wal_size(LOGS_BYTES_MAX)
    options.set_wal_ttl_seconds(0)
    options.set_wal_size_limit_mb(0)
    options.set_recycle_log_file_num(0)

    options.set_write_buffer_size(settings.memtable_bytes)
    options.set_max_write_buffer_number(MEMTABLES_MAX)

    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    options.set_block_based_table_factory(_tables(settings))
    options.set_max_background_jobs(2)
    options.set_bytes_per_sync(1 << 20)
    options.set_max_open_files(256)

    options.set_max_log_file_size(1 << 20)
    options.set_keep_log_file_num(4)
    options.set_stats_dump_period_sec(0)
    options.set_stats_persist_period_sec(0)
    return options


def _tables(settings: EngineSettings) -> BlockBasedOptions:
    tables = BlockBasedOptions()
    tables.set_block_cache(Cache(settings.cache_bytes))
    tables.set_bloom_filter(10, block_based=False)
    tables.set_cache_index_and_filter_blocks(True)
    tables.set_pin_l0_filter_and_index_blocks_in_cache(True)
    return tables
