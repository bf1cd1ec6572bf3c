"""RocksStore: the Store port on RocksDB, with group commit.

    put ──> gathering batch ──> write ──────────────> sync ─────────> done callbacks
            (visible at once)   log and memtable,     elsewhere,      in the order
                                on the loop           see syncer.py   of the puts

One commit is under way at a time. All writes that come while it syncs gather and share the
next one, so the slower the disk, the larger the batch: the sync's cost per write falls as
load rises. The first write after a pause does not wait for company, but its commit starts
only when the loop has run the callbacks of this turn, so that they share it too.

A commit costs the processor about as much as a dozen writes: a thread woken, a system call,
the file system's journal. So where writes come in crowds (`CROWD` of them during one sync)
the next commit waits for the syncer's `gather_s` longer. On two cores that bear three nodes
and their clients this raised puts by a quarter to a third; the wait is one that the writes
would otherwise spend queueing for the processor.

A batch is written with one atomic call, so within it only the last write of a key counts.
Batches are written in order and each is recovered whole or not at all: what survives a
crash is a prefix of the writes. A batch that has reached `batch_bytes_max` is sealed and
another begun, which bounds how long one write call holds the loop.

What the store has been given but the engine has not (the sealed and the gathering batch)
is an overlay on the engine for `get` and `scan`; in front of both is a cache of rows.
`pending_bytes` and `pending_writes` count all that is not yet durable; admission control
looks at them, the store itself never waits.

A write or sync that failed is never repeated: after a failed sync the system may have
dropped the dirty pages, and a second sync would report a success that is none. The store
refuses all writes from then on and calls `on_failed` once; the node must stop.

Two traps of the binding, both met below. `RdictItems` ends silently at a read error, so a
scan steps an `RdictIter` and asks its status. A live iterator keeps the files locked after
`close`, so none outlives its scan.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Self

from rocksdict import Rdict, ReadOptions, WriteBatch

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.runtime.ports import Runtime
from kvorum.storage.engine import EngineSettings, open_engine
from kvorum.storage.row_cache import RowCache
from kvorum.storage.store import Done
from kvorum.storage.syncer import Syncer

BATCH_BYTES_MAX: Final = 1 << 20
ROW_CACHE_BYTES: Final = 32 << 20
CROWD: Final = 8
_CORRUPTION: Final = "Corruption"
"""What the engine's untyped errors begin with where a file fails its checksums."""


class _Batch:
    """Writes that share one sync. A change to None is a deletion."""

    __slots__ = ("changes", "size_bytes", "waiting")

    def __init__(self) -> None:
        self.changes: dict[bytes, bytes | None] = {}
        self.waiting: list[tuple[Done, Any]] = []
        self.size_bytes = 0


class RocksStore:
    """What "durable" means is the syncer's to say."""

    __slots__ = (
        "_batch_bytes_max",
        "_closed",
        "_committing",
        "_engine",
        "_gathering",
        "_on_failed",
        "_refusal",
        "_rows",
        "_runtime",
        "_sealed",
        "_syncer",
        "failed",
    )

    def __init__(
        self,
        engine: Rdict,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
        batch_bytes_max: int = BATCH_BYTES_MAX,
        row_cache_bytes: int = ROW_CACHE_BYTES,
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._syncer = syncer
        self._on_failed = on_failed
        self._batch_bytes_max = batch_bytes_max
        self._rows = RowCache(row_cache_bytes)

        self._committing: _Batch | None = None
        self._sealed: deque[_Batch] = deque()
        self._gathering = _Batch()

        self.failed: StorageError | None = None
        self._refusal: StorageError | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
        settings: EngineSettings | None = None,
    ) -> Self:
        """Raises ConfigError if another store has `path` open, StorageError if it cannot be.

        The store closes `syncer`, also if it cannot be opened.
        """
        try:
            engine = open_engine(path, settings or EngineSettings())
        except BaseException:
            syncer.close()
            raise
        return cls(engine, runtime, syncer, on_failed)

    # The Store port

    def get(self, key: bytes) -> bytes | None:
        row = self._rows.get(key)
        if row is not None:
            return row
        gathering = self._gathering.changes
        if key in gathering:
            return gathering[key]
        for batch in reversed(self._sealed):
            if key in batch.changes:
                return batch.changes[key]
        try:
            found: bytes | None = self._engine.get(key)
        except Exception as error:
            if _CORRUPTION in str(error):
                raise CorruptRecord(f"the file that holds a key is damaged: {error}") from error
            raise StorageError(f"the engine cannot read a key: {error}") from error
        if found is not None:
            self._rows.put(key, found)
        return found

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        self._gather(key, value, len(key) + len(value), done, arg)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self._gather(key, None, len(key), done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if start >= end or limit <= 0:
            return []
        changes = {
            key: value
            for batch in (*self._sealed, self._gathering)
            for key, value in batch.changes.items()
            if start <= key < end
        }
        # Each change hides at most one of the engine's pairs, so this many are enough.
        pairs = self._scan_engine(start, end, limit + len(changes))
        if not changes:
            return pairs
        merged: dict[bytes, bytes | None] = {**dict(pairs), **changes}
        return [(key, value) for key in sorted(merged) if (value := merged[key]) is not None][
            :limit
        ]

    # Its owner's

    @property
    def pending_writes(self) -> int:
        return sum(len(batch.waiting) for batch in self._pending())

    @property
    def pending_bytes(self) -> int:
        return sum(batch.size_bytes for batch in self._pending())

    def close(self) -> None:
        """Block until every write is durable and its `done` has run; then free the files.

        Raises StorageError if the engine ends with an error of its own.
        """
        if self._closed:
            return
        self._closed = True
        self._refusal = self._refusal or StorageError("wanted to write, but the store is closed")
        while self._committing is not None or self._gathering.waiting:
            if self.failed is not None:
                self._refuse()
            elif self._committing is None:
                self._commit()
            else:
                self._syncer.wait()
        self._syncer.close()
        try:
            self._engine.close()
        except Exception as error:
            if self.failed is None:  # else its cause has been reported already
                raise StorageError(f"the engine did not close cleanly: {error}") from error

    # Commits

    def _gather(self, key: bytes, value: bytes | None, size: int, done: Done, arg: Any) -> None:
        if self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
            return
        batch = self._gathering
        if not batch.waiting:
            if self._committing is None:
                self._runtime.call_soon(self._commit)
        elif batch.size_bytes >= self._batch_bytes_max:
            self._sealed.append(batch)
            batch = self._gathering = _Batch()
        if value is None:
            self._rows.drop(key)
        else:
            self._rows.put(key, value)
        batch.changes[key] = value
        batch.waiting.append((done, arg))
        batch.size_bytes += size

    def _commit(self) -> None:
        """Write the oldest batch and have it synced."""
        if self._committing is not None or not self._gathering.waiting:
            return
        if self._sealed:
            batch = self._sealed.popleft()
        else:
            batch, self._gathering = self._gathering, _Batch()
        self._committing = batch
        try:
            self._write(batch)
        except StorageError as error:
            self._fail(error)
        else:
            self._syncer.start(self._sync, self._synced)

    def _synced(self, error: StorageError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        batch = self._committing
        assert batch is not None
        self._committing = None
        gather_s = self._syncer.gather_s
        if gather_s and len(self._gathering.waiting) >= CROWD and not self._sealed:
            self._runtime.call_later(gather_s, self._commit)
        else:
            self._commit()  # first, so that the disk works while the callbacks run
        self._answer(iter(batch.waiting), None)

    def _answer(self, waiting: Iterator[tuple[Done, Any]], error: StorageError | None) -> None:
        try:
            for done, arg in waiting:
                done(arg, error)
        finally:
            # A callback that raises must not cost the others their answer.
            rest = list(waiting)
            if rest:
                self._runtime.call_soon(self._answer, iter(rest), error)

    def _pending(self) -> list[_Batch]:
        committing = [self._committing] if self._committing is not None else []
        return [*committing, *self._sealed, self._gathering]

    # Failure

    def _fail(self, error: StorageError) -> None:
        self._rows.clear()  # it may hold rows of writes that are refused now
        self.failed = self._refusal = error
        self._runtime.call_soon(self._refuse)
        self._runtime.call_soon(self._on_failed, error)

    def _refuse(self) -> None:
        """Answer everything pending with the failure."""
        waiting = [entry for batch in self._pending() for entry in batch.waiting]
        self._committing = None
        self._sealed.clear()
        self._gathering = _Batch()
        self._answer(iter(waiting), self.failed)

    # The engine

    def _write(self, batch: _Batch) -> None:
        writes = WriteBatch(raw_mode=True)
        for key, value in batch.changes.items():
            if value is None:
                writes.delete(key)
            else:
                writes.put(key, value)
        try:
            self._engine.write(writes)
        except Exception as error:
            raise _failure("write to its log", error) from error

    def _sync(self) -> None:
        try:
            self._engine.flush_wal(True)
        except Exception as error:
            raise _failure("sync its log", error) from error

    def _scan_engine(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        options = ReadOptions()
        # The engine keeps a pointer to these bytes: `end` must live as long as the cursor.
        options.set_iterate_upper_bound(end)
        # A scan passes once; it must not evict what is read often. The binding's stub is wrong.
        options.fill_cache(False)  # type: ignore[call-arg]
        pairs: list[tuple[bytes, bytes]] = []
        cursor = None
        try:
            cursor = self._engine.iter(options)
            cursor.seek(start)
            while len(pairs) < limit and cursor.valid():
                pairs.append((cursor.key(), cursor.value()))
                cursor.next()
            cursor.status()
        except Exception as error:
            raise StorageError(f"the engine cannot read a range: {error}") from error
        finally:
            del cursor  # a traceback may keep this frame
        return pairs


def _failure(what: str, error: Exception) -> StorageError:
    return StorageError(
        f"the engine could not {what}: {error}; the store takes no more writes: "
        "check the disk, then restart the node",
        outcome="unknown",
    )
