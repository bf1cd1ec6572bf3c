"""Metrics of storage: the journal, the engine and the disk below it, and the caches above."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import Metric

from kvorum.documents.status import Status
from kvorum.journal.storage_numbers import StorageNumbers
from kvorum.metrics.metric import Declared, counter, gauge, histogram

SYNCS: Final = histogram(
    "journal_sync_duration_seconds", "How long the disk took to make an entry durable."
)
UNFLUSHED: Final = gauge("journal_unflushed_records", "Records that only the journal holds.")
UNFLUSHED_BYTES: Final = gauge("journal_unflushed_bytes", "Bytes of memory that they take.")
LOG_BYTES: Final = gauge("journal_bytes", "Bytes of the journal's entries that hold them.")
FLUSH_LAG: Final = gauge("journal_flush_lag_seconds", "The age of the oldest of them.")
DISK_FREE: Final = gauge("disk_free_bytes", "Bytes free on the data directory's file system.")
DISK_SIZE: Final = gauge("disk_size_bytes", "The size of that file system.")
DISK_FULL: Final = gauge("disk_full", "1 while new data is refused for lack of room, else 0.")
_ENGINE: Final[dict[str, Declared]] = {
    "file_bytes": gauge("engine_file_bytes", "Bytes of RocksDB's sorted files."),
    "keys": gauge("engine_keys", "RocksDB's estimate of how many keys it has."),
    "memtable_bytes": gauge("engine_memtable_bytes", "Bytes of RocksDB's memtables."),
    "cache_bytes": gauge("engine_cache_bytes", "Bytes of RocksDB's block cache in use."),
    "level_0_files": gauge("engine_level_0_files", "Files on level 0, which wait for compaction."),
    "waiting_memtables": gauge("engine_waiting_memtables", "Memtables that wait for their flush."),
    "compaction_bytes": gauge("engine_pending_compaction_bytes", "Bytes that wait for compaction."),
    "running_compactions": gauge("engine_running_compactions", "Compactions that are running."),
    "running_flushes": gauge("engine_running_flushes", "Flushes that are running."),
    "stopped": gauge("engine_stopped", "1 while RocksDB takes no writes, else 0."),
}
"""By name in the numbers of the engine."""
KEYS: Final = gauge(
    "namespace_keys", "Entries that this node answers for; summed up, those of all.", "namespace"
)
BYTES: Final = gauge("namespace_bytes", "Bytes of their records.", "namespace")
HELD_KEYS: Final = gauge("namespace_held_keys", "Copies of entries on this node.", "namespace")
HELD_BYTES: Final = gauge("namespace_held_bytes", "Bytes of their records.", "namespace")
CACHE_ENTRIES: Final = gauge("cache_entries", "Records in memory.", "namespace")
CACHE_BYTES: Final = gauge("cache_bytes", "Bytes that they take.", "namespace")
CACHE_HITS: Final = counter("cache_hits_total", "Reads that found the record there.", "namespace")
CACHE_MISSES: Final = counter("cache_misses_total", "Reads that did not.", "namespace")
CACHE_EVICTIONS: Final = counter(
    "cache_evictions_total", "Records that had to make room there for others.", "namespace"
)
LOGICAL: Final = gauge(
    "namespace_logical_bytes", "Bytes of records before they were sealed.", "namespace"
)
STORED: Final = gauge("namespace_stored_bytes", "Bytes of records as they are stored.", "namespace")
DAMAGED: Final = gauge("damaged_records", "Stored records that cannot be read.")
DAMAGED_FILES: Final = gauge("damaged_files", "Files of the engine with something wrong.")
SCRUBBING: Final = gauge("scrub_running", "1 while all stored records are being read, else 0.")
SCRUBBED: Final = gauge("scrub_fraction", "The fraction of them that has been read.")
SCRUB_ENDED: Final = gauge(
    "scrub_last_end_timestamp_seconds", "When all were last read; absent before that."
)

_MS: Final = 1000
METRICS: Final = (
    *(SYNCS, UNFLUSHED, UNFLUSHED_BYTES, LOG_BYTES, FLUSH_LAG, DISK_FREE, DISK_SIZE, DISK_FULL),
    *_ENGINE.values(),
    *(KEYS, BYTES, HELD_KEYS, HELD_BYTES),
    *(CACHE_ENTRIES, CACHE_BYTES, CACHE_HITS, CACHE_MISSES, CACHE_EVICTIONS, LOGICAL, STORED),
    *(DAMAGED, DAMAGED_FILES, SCRUBBING, SCRUBBED, SCRUB_ENDED),
)


def collect(numbers: StorageNumbers) -> Iterator[Metric]:
    """The metrics of journal, engine and disk."""
    yield SYNCS.histogram([((), numbers.syncs)])
    yield UNFLUSHED.of(numbers.unflushed.records)
    yield UNFLUSHED_BYTES.of(numbers.unflushed.memory_bytes)
    yield LOG_BYTES.of(numbers.unflushed.log_bytes)
    yield FLUSH_LAG.of(numbers.unflushed.lag_s)
    yield DISK_FREE.of(numbers.free_bytes)
    yield DISK_SIZE.of(numbers.total_bytes)
    yield DISK_FULL.of(numbers.full)
    for name, declared in _ENGINE.items():
        yield declared.of(numbers.engine[name])


def collect_soundness(status: Status) -> Iterator[Metric]:
    """How sound the stored records are."""
    storage = status.storage
    if storage is None:
        return
    yield DAMAGED.of(storage.quarantine.damaged + storage.quarantine.more)
    yield DAMAGED_FILES.of(len(storage.damaged_files))
    yield SCRUBBING.of(storage.scrub.running)
    yield SCRUBBED.of(storage.scrub.fraction_done)
    whole = storage.scrub.whole
    yield SCRUB_ENDED.by_label([] if whole is None else [((), whole.ended_ms / _MS)])


def collect_namespaces(status: Status) -> Iterator[Metric]:
    """What each namespace has: entries, records in memory, bytes on the disk."""
    counts = [((name,), counted) for name, counted in status.counts.items()]
    yield KEYS.by_label((name, counted.keys) for name, counted in counts)
    yield BYTES.by_label((name, counted.bytes) for name, counted in counts)
    yield HELD_KEYS.by_label((name, counted.held_keys) for name, counted in counts)
    yield HELD_BYTES.by_label((name, counted.held_bytes) for name, counted in counts)
    caches = [((name,), cache) for name, cache in status.caches.items()]
    yield CACHE_ENTRIES.by_label((name, cache.entries) for name, cache in caches)
    yield CACHE_BYTES.by_label((name, cache.bytes) for name, cache in caches)
    yield CACHE_HITS.by_label((name, cache.hits) for name, cache in caches)
    yield CACHE_MISSES.by_label((name, cache.misses) for name, cache in caches)
    yield CACHE_EVICTIONS.by_label((name, cache.evicted) for name, cache in caches)
    if status.storage is not None:
        volumes = [((name,), volume) for name, volume in status.storage.volumes.items()]
        yield LOGICAL.by_label((name, volume.logical_bytes) for name, volume in volumes)
        yield STORED.by_label((name, volume.stored_bytes) for name, volume in volumes)
