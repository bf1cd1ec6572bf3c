"""Pressure: does the engine fall behind with its files, so that it would soon stop its writer?

RocksDB holds back whoever writes faster than it can flush and compact. It delays each write
where there are `DELAY_FILES` files on level 0, and stops all of them at `STOP_FILES`, or when
`MEMTABLES_MAX` memtables wait to be flushed. Both happen inside the write call, which has the
interpreter's lock: the whole node would stand still, and look dead to its peers.

So a store looks before each commit, and says that it is pressed a little earlier than the
engine would act. Whoever takes in writes then refuses new ones with "overloaded, retry after",
while reads, gossip and what has been taken in already go on.

    memtables    all but the last wait for their flush, so the one being written is the last
    level 0      `MARGIN_FILES` short of the delays
    engine       it delays or stops writes already, for whatever reason
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rocksdict import Rdict

from kvorum.storage.budget import MEMTABLES_MAX

DELAY_FILES: Final = 20
STOP_FILES: Final = 36
MARGIN_FILES: Final = 2

_NUMBERS: Final = {
    "file_bytes": "rocksdb.total-sst-files-size",
    "keys": "rocksdb.estimate-num-keys",
    "memtable_bytes": "rocksdb.cur-size-all-mem-tables",
    "cache_bytes": "rocksdb.block-cache-usage",
    "level_0_files": "rocksdb.num-files-at-level0",
    "waiting_memtables": "rocksdb.num-immutable-mem-table",
    "compaction_bytes": "rocksdb.estimate-pending-compaction-bytes",
    "running_compactions": "rocksdb.num-running-compactions",
    "running_flushes": "rocksdb.num-running-flushes",
    "stopped": "rocksdb.is-write-stopped",
}
"""Numbers of the engine, and its own names for them."""

_WAITING: Final = "rocksdb.num-immutable-mem-table"
_LEVEL_0: Final = "rocksdb.num-files-at-level0"
_STOPPED: Final = "rocksdb.is-write-stopped"
_DELAYED: Final = "rocksdb.actual-delayed-write-rate"


class Pressure:
    """Of one engine. A look costs about a microsecond."""

    __slots__ = ("_ask",)

    def __init__(self, engine: Rdict) -> None:
        self._ask: Callable[[str], int | None] = engine.property_int_value

    def numbers(self) -> dict[str, int]:
        """What the engine holds and has to do, as of now: bytes of files, memtables and cache, keys
        (an estimate), files on level 0, memtables that wait, bytes to compact, 1 if it is stopped.
        """
        return {name: self._ask(of) or 0 for name, of in _NUMBERS.items()}

    def is_high(self) -> bool:
        """True if the engine delays writes, or soon will."""
        ask = self._ask
        return bool(
            (ask(_WAITING) or 0) >= MEMTABLES_MAX - 1
            or (ask(_LEVEL_0) or 0) >= DELAY_FILES - MARGIN_FILES
            or ask(_STOPPED)
            or ask(_DELAYED)
        )
