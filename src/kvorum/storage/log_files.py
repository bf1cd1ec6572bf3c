"""LogFiles: the Log port on files of its own, which are written over again and again.

One entry is written at a time (why: `log_recovery.py`), those that come meanwhile queue up. Which
file it goes to, and what becomes of files that are needed no more, is `log_rotation.py`'s to say.

Entries and marks say with them what is needed; the newest entry always is, if only for saying so. A
mark behind what is released goes with it, or it would keep its file.

A write or sync that failed is never repeated (why: `rocks.py`): the log takes no more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from kvorum.model.errors import StorageError
from kvorum.runtime.durations import Durations
from kvorum.runtime.ports import Runtime
from kvorum.storage.answering import answer
from kvorum.storage.directory_watch import DirectoryWatch
from kvorum.storage.durable_file import sync_directory
from kvorum.storage.log_file import BLOCK, Buffered, Manner, entry_blocks, manner_for
from kvorum.storage.log_recovery import Recovered, read_entries, remove_drafts
from kvorum.storage.log_rotation import LogRotation
from kvorum.storage.space import Space, mount_point
from kvorum.storage.store import Done
from kvorum.storage.syncer import Syncer


class _Entry(NamedTuple):
    number: int
    needed: int
    text: bytes
    done: Done
    arg: Any


class LogFiles:
    """The log of one directory; `open` makes it."""

    __slots__ = (
        "_closed",
        "_directory",
        "_durable_needed",
        "_marks",
        "_needed",
        "_on_failed",
        "_places",
        "_queue",
        "_refusal",
        "_rotation",
        "_runtime",
        "_syncer",
        "_waits",
        "failed",
        "is_new",
        "last",
        "newest",
        "syncs",
        "wrong",
    )

    def __init__(
        self,
        directory: Path,
        rotation: LogRotation,
        recovered: Recovered,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: Callable[[StorageError], object],
    ) -> None:
        self._directory = directory
        self._rotation = rotation
        self._runtime = runtime
        self._syncer = syncer
        self._waits = syncer.waits
        self._on_failed = on_failed

        self.wrong = recovered.wrong
        """What is missing or damaged of what should be there."""
        self.is_new = recovered.newest is None
        """True if neither an entry nor a mark was found."""

        self.last = 0 if recovered.newest is None else recovered.newest[1].number
        self.newest = self.last
        """The number of the newest entry or mark that is durable."""
        self._needed = self._durable_needed = recovered.needed
        self._marks = deque(recovered.marks)

        self.syncs = Durations()
        """How long the disk took for each entry."""
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
            rotation = LogRotation(directory, manner, recovered, space, watch)
            return cls(directory, rotation, recovered, runtime, syncer, on_failed)
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
        try:
            self._rotation.part(self.last, self._durable_needed)
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
        direct = waits and self._syncer.waits
        self._rotation.go_over_to(self._best_manner() if direct else Buffered())
        self._waits = waits

    def _best_manner(self) -> Manner:
        try:
            return manner_for(self._directory)
        except OSError:  # It takes room to find out.
            return Buffered()

    def _sync_all(self) -> None:
        try:
            self._rotation.sync_all()
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
        self._rotation.close()

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
            file = self._rotation.file_for(number, self._durable_needed)
            if self._syncer.waits != self._waits and file.end == BLOCK:  # It was begun just now.
                self._syncer.choose(self._waits)
            data = entry_blocks(file.salt, number, needed, text)
            missing = file.missing(len(data))
            if missing:
                self._rotation.make_room(missing)
            file.append(data)
        except (OSError, StorageError) as error:
            self._fail(self._failure("write to its files", error))
        else:
            self._syncer.start(self._sync, self._synced)

    def _sync(self) -> None:
        began = self._runtime.now()
        try:
            self._rotation.sync()
        except OSError as error:
            raise self._failure("sync its files", error) from error
        self.syncs.add(self._runtime.now() - began)

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
                self._rotation.remove_parted(self._durable_needed)
            except (OSError, StorageError) as failure:
                self._fail(self._failure("remove its files", failure))
                return
        self._queue.popleft()
        if self._queue:
            self._write()  # first, so that the disk works while the callback runs
        entry.done(entry.arg, None)

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
