"""RocksStore: the engine, RocksDB, behind the FlushTarget port.

    write ──> the engine's log and memtable, at once      sync ──> the log is synced, see syncer.py

Whatever has to be durable soon is durable in the journal (`journal/`), so nobody waits for a write
here. `sync` is asked for once a segment of the journal, and behind a note that has to be sure. One
sync is under way at a time; those that are asked for meanwhile share the next one. The log is
written in the order of the writes: what survives a crash is a prefix of them.

A write or sync that failed is never repeated: after a failed sync the system may have
dropped the dirty pages, and a second sync would report a success that is none. The store
refuses all writes from then on and calls `on_failed` once; the node must stop.

Before the first write of a turn, after each `LOOK_EVERY_BYTES` of them, and every `LOOK_EVERY_S`
the store looks around (`_look`):

    directory   whether its files still are where they were. If not, it fails; and where its path
                leads to other files, it is never closed: see `directory_watch.py`
    room        whether the disk is full. Then it says so (`full`) and has the engine write out what
                it holds in memory, for which there is room yet. Others may fill the disk from one
                moment to the next, so a write that has not looked may find no room
    pressure    whether flush and compaction lag behind writes (`pressed`, see `pressure.py`)

Where a file is damaged a scan goes on behind the damage (`damaged_files.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self, cast

from rocksdict import Cache, Checkpoint, Rdict

from kvorum.model.errors import CorruptRecord, DiskFull, StorageError
from kvorum.model.prefixes import RECORD
from kvorum.runtime.ports import Cancellable, Runtime
from kvorum.storage.answering import answer
from kvorum.storage.damaged_files import DamagedFiles
from kvorum.storage.directory_watch import DirectoryWatch
from kvorum.storage.engine import (
    EngineSettings,
    Forget,
    abandon,
    bytes_in_memory,
    failure,
    open_engine,
)
from kvorum.storage.pressure import Pressure
from kvorum.storage.reader import Reader
from kvorum.storage.space import Space
from kvorum.storage.store import COLD, Cold, Done, KeyRange, ignore
from kvorum.storage.syncer import Syncer

LOOK_EVERY_BYTES: Final = 1 << 20
LOOK_EVERY_S: Final = 0.25
LOOK_AGAIN_S: Final = 0.02


class RocksStore:
    """A FlushTarget on RocksDB. What "durable" means is the syncer's to say."""

    __slots__ = (
        "_asked",
        "_cache",
        "_closed",
        "_engine",
        "_looking",
        "_on_failed",
        "_reader",
        "_refusal",
        "_runtime",
        "_space",
        "_syncer",
        "_syncing",
        "_turn_ends",
        "_unlooked",
        "_watch",
        "damaged_files",
        "failed",
        "pressed",
        "pressure",
    )

    def __init__(
        self,
        engine: Rdict,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
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
        self._syncing: list[tuple[Done, Any]] = []
        """Who waits for the sync that is under way, and who for the next one."""
        self._asked: list[tuple[Done, Any]] = []
        self._unlooked = 0
        """So many bytes may be written before the store looks around again."""
        self._turn_ends = False

        self.failed: StorageError | None = None
        self._refusal: StorageError | None = None
        self._closed = False
        self._reader: Reader | None = None
        self.pressure = Pressure(engine)
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

    # The FlushTarget port

    @property
    def full(self) -> bool:
        return self._space is not None and self._space.full

    def get(self, key: bytes) -> bytes | None:
        try:
            found: bytes | None = self._engine.get(key)
        except Exception as error:
            if self.damaged_files.note(error):
                raise CorruptRecord(f"The record's file is damaged: {error}.") from error
            raise StorageError(f"The storage engine cannot read the record: {error}.") from error
        return found

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        if self._reader is None:
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

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if start >= end or limit <= 0:
            return []
        return self.damaged_files.scan(start, end, limit)

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        return self.damaged_files.unreadable(start, end)

    def write(self, key: bytes, value: bytes | None) -> None:
        size = len(key) if value is None else len(key) + len(value)
        if size > self._unlooked:
            self._look(size)
        if self._refusal is not None:
            return
        self._unlooked -= size
        try:
            if value is None:
                self._engine.delete(key)
            else:
                self._engine.put(key, value)
        except Exception as error:  # noqa: BLE001
            self._fail(failure(self._engine, "write to its log", error))

    def sync(self, done: Done, arg: Any) -> None:
        if self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
            return
        self._asked.append((done, arg))
        self._begin_sync()

    # Its owner's

    def read_in_thread(self, call_threadsafe: Callable[..., Any]) -> None:
        """From now on `find` fetches what is not in memory. `call_threadsafe`: as the syncer's."""
        self._reader = Reader(self._runtime, call_threadsafe, self._fetch)

    def close(self) -> None:
        """Block until every write is durable and each `done` has run; then free the files.

        Raises StorageError if the engine ends with an error of its own.
        """
        if self._closed:
            return
        self.sync(ignore, None)
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        self._refusal = self._refusal or StorageError("The store is closed and takes no writes.")
        self._look_at_directory()
        while self._syncing or self._asked:
            if self.failed is not None:
                self._refuse()
            elif self._syncing:
                self._syncer.wait()
            else:
                self._begin_sync()
        self._syncer.close()
        if self._reader is not None:
            self._reader.close()
        if self._is_another_there():
            abandon(self._engine)
            return
        try:
            self._engine.close()
        except Exception as error:
            if self.failed is None:  # else its cause has been reported already
                raise StorageError(f"The storage engine did not close cleanly: {error}.") from error

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
            raise DiskFull(
                f"There is no room for a checkpoint in {path}: the disk is full. Make room on it."
            )
        try:
            self._engine.flush(True)
            Checkpoint(self._engine).create_checkpoint(str(path))
        except Exception as error:
            raise StorageError(
                f"The storage engine could not make a checkpoint in {path}: {error}. Make room on "
                "the disk."
            ) from error

    def compact(self) -> None:
        """Rewrite all files, so that what was replaced or deleted is gone from them. Blocks."""
        self.flush()
        self.compact_part(0, 1)

    def flush(self) -> None:
        """Write to the files what is only in the log. Blocks."""
        try:
            self._engine.flush()
        except Exception as error:
            raise failure(self._engine, "write its files", error) from error

    def compact_part(self, part: int, parts: int) -> None:
        """`compact` for one of `parts` parts of the token space; the last has all the rest."""
        bounds = [RECORD + (n * (1 << 64) // parts).to_bytes(8) for n in range(1, parts)]
        start = None if part == 0 else bounds[part - 1]
        end = None if part == parts - 1 else bounds[part]
        try:
            self._engine.compact_range(start, end)
        except Exception as error:
            raise failure(self._engine, "compact its files", error) from error

    # Syncs

    def _begin_sync(self) -> None:
        """Sync all that has been written, if somebody waits for it and no sync is under way."""
        if not self._asked or self._syncing or not self._look_at_directory():
            return
        self._syncing, self._asked = self._asked, []
        self._syncer.start(self._sync, self._synced)

    def _synced(self, error: StorageError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        waiting, self._syncing = self._syncing, []
        self._begin_sync()  # first, so that the disk works while the callbacks run
        answer(self._runtime, iter(waiting), None)

    # Looking around

    def _look(self, about_to_write: int) -> None:
        """Find out whether so many bytes may be written, and some more in this turn."""
        self._unlooked = max(about_to_write, LOOK_EVERY_BYTES)
        if not self._turn_ends:
            self._turn_ends = True
            self._runtime.call_soon(self._end_turn)
        if self._refusal is None and self._look_at_directory():
            self._look_for_room(self._unlooked)
            self._look_for_pressure()

    def _end_turn(self) -> None:
        self._turn_ends = False
        self._unlooked = 0

    def _look_for_pressure(self) -> None:
        was_pressed, self.pressed = self.pressed, self.pressure.is_high()
        if self.pressed and not was_pressed:
            self._runtime.call_later(LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        """New writes are refused, so it may be long to the next one."""
        if not self._closed:
            self.pressed = False
            self._look_for_pressure()

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

    def _look_at_directory(self) -> bool:
        """True if the files still are where they were; else the store has failed."""
        if self._watch is None:
            return True
        try:
            self._watch.look()
        except StorageError as error:
            self._fail(error)
            return False
        return True

    def _is_another_there(self) -> bool:
        """True if the path of the engine's files leads to others by now."""
        lost = self._watch is not None and self._watch.lost is not None
        return lost and Path(self._engine.path()).exists()

    # Failure

    def _fail(self, error: StorageError) -> None:
        if self.failed is not None:
            return
        self.failed = self._refusal = error
        self._runtime.call_soon(self._refuse)
        self._runtime.call_soon(self._on_failed, error)

    def _refuse(self) -> None:
        """Answer everybody who waits with the failure."""
        waiting, self._syncing, self._asked = [*self._syncing, *self._asked], [], []
        answer(self._runtime, iter(waiting), self.failed)

    # The engine

    def _fetch(self, keys: list[bytes]) -> None:
        """In the reader's thread. This form of `get` lets go of the interpreter's lock."""
        with suppress(Exception):  # a `get` on the loop meets it again, and tells
            self._engine.get([*keys])

    def _sync(self) -> None:
        try:
            self._engine.flush_wal(True)
        except Exception as error:
            raise failure(self._engine, "sync its log", error) from error
