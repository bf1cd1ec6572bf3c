"""RocksStore: the Store port on RocksDB, with group commit.

    put ──> gathering batch ──> write ──────────────> sync ─────────> done callbacks
            (visible at once)   log and memtable,     elsewhere,      in the order
                                on the loop           see syncer.py   of the puts

One commit is under way at a time. All writes that come while it syncs gather and share the
next one, so the slower the disk, the larger the batch: the sync's cost per write falls as
load rises. The first write after a pause does not wait for company, but its commit starts
only when the loop has run the callbacks of this turn, so that they share it too.

A batch is written with one atomic call, so within it only the last write of a key counts.
Batches are written in order and each is recovered whole or not at all: what survives a
crash is a prefix of the writes. A batch that has reached `batch_bytes_max` is sealed and
another begun, which bounds how long one write call holds the loop.

A batch that nobody waits for (`file`) is written, and synced with the next that has somebody.

What the store has been given but the engine has not (the sealed and the gathering batch)
is an overlay on the engine for `get` and `scan`.

A write or sync that failed is never repeated: after a failed sync the system may have
dropped the dirty pages, and a second sync would report a success that is none. The store
refuses all writes from then on and calls `on_failed` once; the node must stop.

A store that is given a `DirectoryWatch` looks with each commit and every `LOOK_EVERY_S` whether
its files still are where they were. If not, it fails; and where its path leads to other files, it
is never closed: see `directory_watch.py`.

A store that is given a `Space` looks at the room on the disk with each commit and every
`LOOK_EVERY_S`. When there is too little left it says so (`full`) and has the engine write out what
it holds in memory, for which there is room yet. Others may fill the disk from one moment to the
next, so a commit that has not looked may find no room for what it has to write.

Where a file is damaged a scan goes on behind the damage (`damaged_files.py`).
"""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, cast

from rocksdict import Cache, Checkpoint, Rdict, WriteBatch

from kvorum.model.errors import CorruptRecord, DiskFull, StorageError
from kvorum.runtime.ports import Cancellable, Runtime
from kvorum.storage.answering import answer
from kvorum.storage.damaged_files import DamagedFiles
from kvorum.storage.directory_watch import DirectoryWatch
from kvorum.storage.engine import EngineSettings, Forget, bytes_in_memory, open_engine
from kvorum.storage.pressure import Pressure
from kvorum.storage.reader import Reader
from kvorum.storage.space import Space, mount_point
from kvorum.storage.store import COLD, Cold, Done, KeyRange
from kvorum.storage.syncer import Syncer

BATCH_BYTES_MAX: Final = 1 << 20
LOOK_EVERY_S: Final = 0.25
LOOK_AGAIN_S: Final = 0.02


class _Batch:
    """Writes that share one sync. A change to None is a deletion."""

    __slots__ = ("changes", "size_bytes", "waiting")

    def __init__(self) -> None:
        self.changes: dict[bytes, bytes | None] = {}
        self.waiting: list[tuple[Done, Any]] = []
        self.size_bytes = 0

    @property
    def is_empty(self) -> bool:
        return not self.changes and not self.waiting


class RocksStore:
    """What "durable" means is the syncer's to say."""

    __slots__ = (
        "_batch_bytes_max",
        "_cache",
        "_closed",
        "_committing",
        "_engine",
        "_gathering",
        "_looking",
        "_on_failed",
        "_pressure",
        "_reader",
        "_refusal",
        "_runtime",
        "_sealed",
        "_space",
        "_syncer",
        "_watch",
        "damaged_files",
        "failed",
        "pressed",
    )

    def __init__(
        self,
        engine: Rdict,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
        batch_bytes_max: int = BATCH_BYTES_MAX,
        space: Space | None = None,
        watch: DirectoryWatch | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._engine = engine
        self._cache = cache
        self.damaged_files = DamagedFiles(engine)
        self._runtime = runtime
        self._syncer = syncer
        self._on_failed = on_failed
        self._space = space
        self._watch = watch
        self._batch_bytes_max = batch_bytes_max

        self._committing: _Batch | None = None
        self._sealed: deque[_Batch] = deque()
        self._gathering = _Batch()

        self.failed: StorageError | None = None
        self._refusal: StorageError | None = None
        self._closed = False
        self._reader: Reader | None = None
        self._pressure = Pressure(engine)
        self.pressed = False
        self._looking: Cancellable | None = None
        self._keep_looking()

    @classmethod
    def open(
        cls,
        path: Path,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
        settings: EngineSettings | None = None,
        space: Space | None = None,
        forget: Forget | None = None,
        watch: DirectoryWatch | None = None,
    ) -> Self:
        """Raises ConfigError if another store has `path` open, StorageError if it cannot be.

        The store closes `syncer`, also if it cannot be opened.
        """
        settings = settings or EngineSettings()
        cache = Cache(settings.cache_bytes)
        try:
            engine = open_engine(path, settings, forget, cache)
        except BaseException:
            syncer.close()
            raise
        return cls(engine, runtime, syncer, on_failed, space=space, watch=watch, cache=cache)

    # The Store port

    @property
    def full(self) -> bool:
        return self._space is not None and self._space.full

    def get(self, key: bytes) -> bytes | None:
        gathering = self._gathering.changes
        if key in gathering:
            return gathering[key]
        for batch in reversed(self._sealed):
            if key in batch.changes:
                return batch.changes[key]
        try:
            found: bytes | None = self._engine.get(key)
        except Exception as error:
            if self.damaged_files.note(error):
                raise CorruptRecord(f"the file that holds a key is damaged: {error}") from error
            raise StorageError(f"the engine cannot read a key: {error}") from error
        return found

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        if self._reader is None or self._is_pending(key):
            return self.get(key)
        try:
            found = self._engine.key_may_exist(key, True)
        except Exception:  # noqa: BLE001
            return self.get(key)  # which meets it again, and tells
        # The binding's stub promises less.
        may_exist, value = cast("tuple[bool, bytes | None]", found)
        if value:
            return value
        # It may exist, and has no value in memory: it is on the disk.
        if may_exist and self._reader.ask(key, then, arg):
            return COLD
        return self.get(key)

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
        pairs = self.damaged_files.scan(start, end, limit + len(changes))
        if not changes:
            return pairs
        merged: dict[bytes, bytes | None] = {**dict(pairs), **changes}
        return [(key, value) for key in sorted(merged) if (value := merged[key]) is not None][
            :limit
        ]

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        return self.damaged_files.unreadable(start, end)

    def write(self, key: bytes, value: bytes | None) -> None:
        if self._refusal is None:
            size = len(key) if value is None else len(key) + len(value)
            self._batch_for(size).changes[key] = value

    def sync(self, done: Done, arg: Any) -> None:
        if self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
        else:
            self._batch_for(0).waiting.append((done, arg))

    # Its owner's

    def read_in_thread(self, call_threadsafe: Callable[..., Any]) -> None:
        """From now on `warm` fetches what is not in memory. `call_threadsafe`: as the syncer's."""
        self._reader = Reader(self._runtime, call_threadsafe, self._fetch)

    def close(self) -> None:
        """Block until every write is durable and its `done` has run; then free the files.

        Raises StorageError if the engine ends with an error of its own.
        """
        if self._closed:
            return
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        self._refusal = self._refusal or StorageError("wanted to write, but the store is closed")
        self._look_at_directory()
        while self._committing is not None or not self._gathering.is_empty:
            if self.failed is not None:
                self._refuse()
            elif self._committing is None:
                self._commit()
            else:
                self._syncer.wait()
        self._syncer.close()
        if self._reader is not None:
            self._reader.close()
        if self._is_another_there():
            self._abandon_engine()
            return
        try:
            self._engine.close()
        except Exception as error:
            if self.failed is None:  # else its cause has been reported already
                raise StorageError(f"the engine did not close cleanly: {error}") from error

    def choose(self, waits: bool) -> None:
        """From the next sync on wait for the disk, or do not. A sync covers all earlier writes."""
        self._syncer.choose(waits)

    def resize(self, cache_bytes: int) -> None:
        """Let blocks and memtables take so much memory together from now on."""
        if self._cache is not None:
            self._cache.set_capacity(cache_bytes)

    def checkpoint(self, path: Path) -> None:
        """Make the directory `path`: the engine's files as they are now, as hard links. Blocks.

        For any thread. The flush lets writes go on; what the checkpoint itself flushes is only
        what has come since, for it holds the interpreter's lock.
        """
        if self._watch is not None:
            self._watch.look()
        if self.full:
            raise DiskFull(f"wanted room for a checkpoint in {path}, got a full disk; free it")
        try:
            self._engine.flush(True)
            Checkpoint(self._engine).create_checkpoint(str(path))
        except Exception as error:
            raise StorageError(
                f"the engine could not make a checkpoint in {path}: {error}; free the disk"
            ) from error

    def compact(self) -> None:
        """Rewrite all files, so that what was replaced or deleted is gone from them. Blocks."""
        try:
            self._engine.flush()
            self._engine.compact_range(None, None)
        except Exception as error:
            raise self._failure("compact its files", error) from error

    def flush(self) -> None:
        """Write to the files what is only in the log. Blocks."""
        try:
            self._engine.flush()
        except Exception as error:
            raise self._failure("write its files", error) from error

    def compact_part(self, part: int, parts: int) -> None:
        """`compact` for one of `parts` parts of the token space; the last has all the rest."""
        bounds = [b"d" + (n * (1 << 64) // parts).to_bytes(8) for n in range(1, parts)]
        start = None if part == 0 else bounds[part - 1]
        end = None if part == parts - 1 else bounds[part]
        try:
            self._engine.compact_range(start, end)
        except Exception as error:
            raise self._failure("compact its files", error) from error

    # Commits

    def _gather(self, key: bytes, value: bytes | None, size: int, done: Done, arg: Any) -> None:
        if self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
            return
        batch = self._batch_for(size)
        batch.changes[key] = value
        batch.waiting.append((done, arg))

    def _batch_for(self, size: int) -> _Batch:
        """The batch that gathers another write of so many bytes."""
        batch = self._gathering
        if batch.is_empty:
            if self._committing is None:
                self._runtime.call_soon(self._commit)
        elif batch.size_bytes >= self._batch_bytes_max:
            self._sealed.append(batch)
            batch = self._gathering = _Batch()
        batch.size_bytes += size
        return batch

    def _commit(self) -> None:
        """Write the oldest batch, and have it synced if somebody waits for it."""
        if self._committing is not None or self._gathering.is_empty:
            return
        if self._sealed:
            batch = self._sealed.popleft()
        else:
            batch, self._gathering = self._gathering, _Batch()
        self._committing = batch
        if not self._look_at_directory():
            return
        self._look_for_room(batch.size_bytes)
        self._look_for_pressure()
        try:
            self._write(batch)
        except StorageError as error:
            self._fail(error)
        else:
            if batch.waiting:
                self._syncer.start(self._sync, self._synced)
            else:
                self._committing = None
                if not self._gathering.is_empty:
                    self._runtime.call_soon(self._commit)

    def _synced(self, error: StorageError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        batch = self._committing
        assert batch is not None
        self._committing = None
        self._commit()  # first, so that the disk works while the callbacks run
        answer(self._runtime, iter(batch.waiting), None)

    def _is_pending(self, key: bytes) -> bool:
        """True if a batch that the engine does not have yet says what `key` is."""
        return key in self._gathering.changes or any(key in batch.changes for batch in self._sealed)

    def _pending(self) -> list[_Batch]:
        committing = [self._committing] if self._committing is not None else []
        return [*committing, *self._sealed, self._gathering]

    # Pressure

    def _look_for_pressure(self) -> None:
        was_pressed, self.pressed = self.pressed, self._pressure.is_high()
        if self.pressed and not was_pressed:
            self._runtime.call_later(LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        """New writes are refused, so it may be long to the next commit."""
        if not self._closed:
            self.pressed = False
            self._look_for_pressure()

    # Room

    def _keep_looking(self) -> None:
        if self._look_at_directory() and self._space is not None:
            self._look_for_room(0)
            self._looking = self._runtime.call_later(LOOK_EVERY_S, self._keep_looking)

    def _look_for_room(self, about_to_write: int) -> None:
        if self._space is None or self.failed is not None:
            return
        in_memory = bytes_in_memory(self._engine)
        was_full = self._space.full
        self._space.look(in_memory)
        self._space.make_room(in_memory + about_to_write)
        if self._space.full and not was_full:
            self._engine.flush(wait=False)

    # The directory

    def _look_at_directory(self) -> bool:
        """True if the files still are where they were; else the store has failed."""
        if self._watch is None:
            return True
        try:
            self._watch.look()
        except StorageError as error:
            if self.failed is None:
                self._fail(error)
            return False
        return True

    def _is_another_there(self) -> bool:
        """True if the path of the engine's files leads to others by now."""
        lost = self._watch is not None and self._watch.lost is not None
        return lost and Path(self._engine.path()).exists()

    def _abandon_engine(self) -> None:
        """Neither close nor collect it: either would write files and remove some, by their path.
        So it is never freed while this process lives, which cannot open that path again.
        """
        self._engine.cancel_all_background(True)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._engine))

    # Failure

    def _fail(self, error: StorageError) -> None:
        self.failed = self._refusal = error
        self._runtime.call_soon(self._refuse)
        self._runtime.call_soon(self._on_failed, error)

    def _refuse(self) -> None:
        """Answer everything pending with the failure."""
        waiting = [entry for batch in self._pending() for entry in batch.waiting]
        self._committing = None
        self._sealed.clear()
        self._gathering = _Batch()
        answer(self._runtime, iter(waiting), self.failed)

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
            raise self._failure("write to its log", error) from error

    def _fetch(self, keys: list[bytes]) -> None:
        """In the reader's thread. This form of `get` lets go of the interpreter's lock."""
        with suppress(Exception):  # a `get` on the loop meets it again, and tells
            self._engine.get([*keys])

    def _sync(self) -> None:
        try:
            self._engine.flush_wal(True)
        except Exception as error:
            raise self._failure("sync its log", error) from error

    def _failure(self, what: str, error: Exception) -> StorageError:
        mounted = mount_point(Path(self._engine.path()).absolute())
        return StorageError(
            f"the engine could not {what}: {error}; the store takes no more writes, as it cannot "
            f"tell what is on the disk: check the file system at {mounted} (room, the kernel's "
            "log), then restart the node, which goes on with all it has acknowledged",
            outcome="unknown",
        )
