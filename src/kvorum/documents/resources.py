"""What a node tells of the machine it runs on, and of the files that it writes."""

from __future__ import annotations

import msgspec


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of a node: what is durable there and not yet in the store below.

    `unflushed`: records; `unflushed_bytes`: in memory; `log_bytes`: of the entries that hold them.
    `lag_s`: the age of the oldest of them. `syncs`: how often the node waited for the disk since
    its start. `sync_p50_ms`, `sync_p99_ms`: how long half and 99% of the syncs took at most; None
    before the first one.
    """

    unflushed: int = 0
    unflushed_bytes: int = 0
    log_bytes: int = 0
    lag_s: float = 0.0
    syncs: int = 0
    sync_p50_ms: float | None = None
    sync_p99_ms: float | None = None


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """The storage engine, RocksDB. `level_0_files`, `waiting_memtables`, `compaction_bytes`: what
    has to be compacted or flushed. `stopped`: it takes no writes until that is done.
    """

    file_bytes: int = 0
    keys: int = 0
    memtable_bytes: int = 0
    cache_bytes: int = 0
    level_0_files: int = 0
    waiting_memtables: int = 0
    compaction_bytes: int = 0
    running_compactions: int = 0
    running_flushes: int = 0
    stopped: bool = False


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The file system of the data directory. `full`: new data is refused."""

    free_bytes: int
    total_bytes: int
    full: bool = False


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What a node uses. `python`, `protocol`: their versions. `open_files`: None if not known."""

    python: str = ""
    protocol: str = ""
    open_files: int | None = None
    open_files_max: int = 0
    disk: Disk | None = None
    journal: Journal | None = None
    engine: Engine | None = None
