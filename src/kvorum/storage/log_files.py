"""LogFiles: the Log port on files of its own, which are written over again and again.

    DIR/1.log   | header | 11 12 13 ......... |     free: all it holds has been released
    DIR/2.log   | header | 14 15 (mark) 17 .. |
    DIR/3.log   | header | 18 19 | 8 9 10 ... |     written now; behind 19, what it held before

One entry is written at a time (why: `log_recovery.py`), those that come meanwhile queue up. When
the current file has reached `FILE_BYTES`, the next entry goes to the beginning of the file that
has been free the longest, or to a new one. A name says nothing about the order.

Entries and marks say with them what is needed. A file is free when a durable one says that all in
it is needed no more; the newest entry is always needed, if only for saying so, and the current
file never free. A mark behind what is released goes with it, or it would keep its file.

What was appended before `part` is in files that are removed as soon as they are free.

A write or sync that failed is never repeated (why: `rocks.py`): the log takes no more.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Runtime
from kvorum.storage.answering import answer
from kvorum.storage.directory_watch import DirectoryWatch
from kvorum.storage.durable_file import sync_directory
from kvorum.storage.log_file import (
    BLOCK,
    Buffered,
    LogFile,
    Manner,
    create,
    entry_blocks,
    manner_for,
    sync_file,
)
from kvorum.storage.log_recovery import Recovered, StoredFile, read_entries, remove_drafts
from kvorum.storage.space import Space, mount_point
from kvorum.storage.store import Done
from kvorum.storage.syncer import Syncer

FILE_BYTES: Final = 4 << 20
_NO_FILE_NOW: Final = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
"""Why a file cannot be made or opened that could be later."""

_TRY_AGAIN_BYTES: Final = 1 << 20

_log = logging.getLogger(__name__)


class _Entry(NamedTuple):
    number: int
    needed: int
    text: bytes
    done: Done
    arg: Any


class LogFiles:
    __slots__ = (
        "_closed",
        "_current",
        "_damaged",
        "_directory",
        "_durable_needed",
        "_files",
        "_full_at",
        "_manner",
        "_marks",
        "_needed",
        "_on_failed",
        "_open_file",
        "_parted",
        "_places",
        "_queue",
        "_refusal",
        "_runtime",
        "_space",
        "_syncer",
        "_waits",
        "_watch",
        "failed",
        "is_new",
        "last",
        "newest",
        "wrong",
    )

    def __init__(
        self,
        directory: Path,
        manner: Manner,
        recovered: Recovered,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
        space: Space | None = None,
        watch: DirectoryWatch | None = None,
    ) -> None:
        self._directory = directory
        self._manner = manner
        self._runtime = runtime
        self._syncer = syncer
        self._waits = syncer.waits
        self._on_failed = on_failed
        self._space = space
        self._watch = watch

        self.wrong = recovered.wrong
        """What is missing or damaged of what should be there."""
        self.is_new = recovered.newest is None
        """True if neither an entry nor a mark was found."""

        self._files = recovered.files
        self._damaged = recovered.damaged
        self._current: StoredFile | None = None
        self._open_file: LogFile | None = None
        self._full_at = FILE_BYTES
        """How large the current file grows before another is wanted."""
        self.last = 0
        self.newest = 0
        """The number of the newest entry or mark that is durable."""
        if recovered.newest is not None:
            self._current, found = recovered.newest
            self._open_file = manner.open(self._current.path, self._current.salt, found.end)
            self.last = self.newest = found.number
        self._needed = self._durable_needed = recovered.needed
        self._marks = deque(recovered.marks)
        self._parted = 0
        """Up to here entries are apart from those behind them."""

        self._places = recovered.entries
        self._queue: deque[_Entry] = deque()
        self.failed: StorageError | None = None
        self._refusal: StorageError | None = None
        self._closed = False

    @classmethod
    def open(
        cls,
        directory: Path,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
        space: Space | None = None,
        watch: DirectoryWatch | None = None,
    ) -> Self:
        """Makes `directory` if it is not there. Raises StorageError.

        The log closes `syncer`, also if it cannot be opened.
        """
        try:
            if not directory.exists():
                directory.mkdir(mode=0o700)
                sync_directory(directory.parent)
            remove_drafts(directory)
            recovered = Recovered(directory)
            manner = manner_for(directory) if syncer.waits else Buffered()
            return cls(directory, manner, recovered, runtime, syncer, on_failed, space, watch)
        except OSError as error:
            syncer.close()
            raise StorageError(
                f"The journal in {directory} cannot be opened: {error}. Check its rights and the "
                f"file system at {mount_point(directory.absolute())} (room, the kernel's log), "
                "then start the node again."
            ) from error
        except BaseException:
            syncer.close()
            raise

    # The Log port

    def append(self, entry: bytes, done: Done, arg: Any) -> int:
        self.last += 1
        self._add(_Entry(self.last, self._needed, entry, done, arg))
        return self.last

    def release(self, number: int, done: Done, arg: Any) -> None:
        # What is still to come is not meant, whatever the number: this mark will be needed.
        self._needed = max(self._needed, min(number, self.last) + 1)
        while self._marks and self._marks[0] <= self._needed:
            if self._marks.popleft() == self._needed:
                self._needed += 1
        self.last += 1
        self._marks.append(self.last)
        self._add(_Entry(self.last, self._needed, b"", done, arg))

    def part(self) -> None:
        if self._refusal is not None:
            return
        self._parted = self.last
        try:
            self._remove_parted()
        except (OSError, StorageError) as error:
            self._fail(self._failure("remove its files", error))

    def entries(self) -> Iterator[tuple[int, bytes]]:
        try:
            yield from read_entries(self._places)
        except OSError as error:
            raise self._failure("read its files", error) from error

    # Its owner's

    def choose(self, waits: bool) -> None:
        """From the next entry on wait for the disk, or do not. Raises StorageError.

        Whoever begins to wait relies on all earlier entries, so these are synced now, which blocks.
        What is written past the page cache is written by its sync. So whoever stops waiting still
        waits until another file can be begun.
        """
        if waits == self._waits:
            return
        if waits:
            self._sync_all()
            self._syncer.choose(True)
            if self._syncer.waits:
                self._manner = self._best_manner()
        else:
            self._manner = Buffered()
        self._waits = waits
        self._full_at = 0

    def _best_manner(self) -> Manner:
        try:
            return manner_for(self._directory)
        except OSError:  # It takes room to find out.
            return Buffered()

    def _sync_all(self) -> None:
        try:
            for stored in self._files:
                sync_file(stored.path)
        except OSError as error:
            self._fail(self._failure("sync its files", error))
            raise StorageError("The journal cannot sync its files.", outcome="unknown") from error

    def close(self) -> None:
        """Block until every entry is durable and its `done` has run; then free the files."""
        if self._closed:
            return
        self._closed = True
        self._refusal = self._refusal or StorageError("The journal is closed and takes no writes.")
        while self._queue:
            if self.failed is not None:
                self._refuse()
            else:
                self._syncer.wait()
        self._syncer.close()
        if self._open_file is not None:
            self._open_file.close()

    # Writing

    def _add(self, entry: _Entry) -> None:
        if self._refusal is not None:
            self._runtime.call_soon(entry.done, entry.arg, self._refusal)
            return
        self._queue.append(entry)
        if len(self._queue) == 1:
            self._places = []
            self._write()

    def _write(self) -> None:
        """Write the oldest of the queue and have it synced."""
        number, needed, text, _, _ = self._queue[0]
        try:
            file = self._file_for(number)
            data = entry_blocks(file.salt, number, needed, text)
            missing = file.missing(len(data))
            if missing:
                self._make_room(missing)
            file.append(data)
        except (OSError, StorageError) as error:
            self._fail(self._failure("write to its files", error))
        else:
            self._syncer.start(self._sync, self._synced)

    def _sync(self) -> None:
        assert self._open_file is not None
        try:
            self._open_file.sync()
        except OSError as error:
            raise self._failure("sync its files", error) from error
        # Durable in a directory that is gone is not durable.
        self._look()

    def _synced(self, error: StorageError | None) -> None:
        if self.failed is not None:  # something else has, meanwhile
            return
        if error is not None:
            self._fail(error)
            return
        entry = self._queue[0]
        self._durable_needed = entry.needed
        self.newest = entry.number
        if not entry.text:
            try:
                self._remove_parted()
            except (OSError, StorageError) as failure:
                self._fail(self._failure("remove its files", failure))
                return
        self._queue.popleft()
        if self._queue:
            self._write()  # first, so that the disk works while the callback runs
        entry.done(entry.arg, None)

    # Files

    def _file_for(self, number: int) -> LogFile:
        """The one that the entry with this number goes to, at its end."""
        file, stored = self._open_file, self._current
        if file is None or stored is None or stored.last <= self._parted < number:
            file, stored = self._begin_file()
        elif file.end >= self._full_at:
            try:
                file, stored = self._begin_file()
            except OSError as error:
                if error.errno not in _NO_FILE_NOW:
                    raise
                self._full_at = file.end + _TRY_AGAIN_BYTES
                _log.warning("%s goes on to grow: no other file can be had: %s", stored.path, error)
        stored.last = number
        return file

    def _begin_file(self) -> tuple[LogFile, StoredFile]:
        self._look()
        free = self._free_files()
        stored = min(free, key=lambda file: file.last) if free else self._new_file()
        file = self._manner.open(stored.path, stored.salt, BLOCK)
        if self._open_file is not None:
            self._open_file.close()
        self._current, self._open_file = stored, file
        self._full_at = FILE_BYTES
        if self._syncer.waits != self._waits:
            self._syncer.choose(self._waits)
        return file, stored

    def _new_file(self) -> StoredFile:
        used = {file.path for file in self._files}.union(self._damaged)
        names = (self._directory / f"{number}.log" for number in count(1))
        path = next(name for name in names if name not in used)
        size = FILE_BYTES if self._spares(FILE_BYTES) else BLOCK
        self._make_room(size)
        stored = StoredFile(path, create(path, size))
        self._files.append(stored)
        return stored

    def _free_files(self) -> list[StoredFile]:
        return [file for file in self._files if file.last < self._durable_needed]

    def _remove_parted(self) -> None:
        """Remove what is free and was parted from the rest, and what cannot be read."""
        gone = [file for file in self._free_files() if file.last <= self._parted]
        if not gone and not self._damaged:
            return
        self._look()
        for path in (*self._damaged, *(file.path for file in gone)):
            path.unlink()
        sync_directory(self._directory)
        self._damaged = []
        self._files = [file for file in self._files if file not in gone]

    def _spares(self, size: int) -> bool:
        return self._space is None or self._space.spares(size)

    def _look(self) -> None:
        """Raises DirectoryLost if the files are no longer where they were."""
        if self._watch is not None:
            self._watch.look()

    def _make_room(self, size: int) -> None:
        self._look()
        if self._space is not None:
            self._space.make_room(size)

    # Failure

    def _fail(self, error: StorageError) -> None:
        self.failed = self._refusal = error
        self._runtime.call_soon(self._refuse)
        self._runtime.call_soon(self._on_failed, error)

    def _refuse(self) -> None:
        """Answer the whole queue with the failure."""
        waiting = [(entry.done, entry.arg) for entry in self._queue]
        self._queue.clear()
        answer(self._runtime, iter(waiting), self.failed)

    def _failure(self, what: str, error: OSError | StorageError) -> StorageError:
        if isinstance(error, StorageError):
            return error  # which says it all
        mounted = mount_point(self._directory.absolute())
        return StorageError(
            f"The journal in {self._directory} could not {what}: {error}. It takes no more writes, "
            f"as it cannot tell what is on the disk. Check the file system at {mounted} (room, the "
            "kernel's log), then restart the node, which goes on with all it has acknowledged.",
            outcome="unknown",
        )
