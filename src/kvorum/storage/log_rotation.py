"""The files of the journal's log, which are written over again and again.

    DIR/1.log   | header | 11 12 13 ......... |     free: all it holds has been released
    DIR/2.log   | header | 14 15 (mark) 17 .. |
    DIR/3.log   | header | 18 19 | 8 9 10 ... |     written now; behind 19, what it held before

When the current file has reached `FILE_BYTES`, the next entry goes to the beginning of the file
that has been free the longest, or to a new one. A name says nothing about the order.

A file is free when a durable entry says that all in it is needed no more; the current one never is.
What was appended before `part` is in files that are removed as soon as they are free.
"""

from __future__ import annotations

import errno
import logging
from itertools import count
from pathlib import Path
from typing import Final

from kvorum.storage.directory_watch import DirectoryWatch
from kvorum.storage.durable_file import sync_directory
from kvorum.storage.log_file import BLOCK, LogFile, Manner, create, sync_file
from kvorum.storage.log_recovery import Recovered, StoredFile
from kvorum.storage.space import Space

FILE_BYTES: Final = 4 << 20
_NO_FILE_NOW: Final = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)
"""Why a file cannot be made or opened that could be later."""

_TRY_AGAIN_BYTES: Final = 1 << 20

_log = logging.getLogger(__name__)


class LogRotation:
    """Which file the next entry goes to. All methods raise OSError, or DirectoryLost where the
    files are no longer where they were.
    """

    __slots__ = (
        "_current",
        "_damaged",
        "_directory",
        "_files",
        "_full_at",
        "_manner",
        "_open_file",
        "_parted",
        "_space",
        "_watch",
    )

    def __init__(
        self,
        directory: Path,
        manner: Manner,
        recovered: Recovered,
        space: Space | None,
        watch: DirectoryWatch | None,
    ) -> None:
        self._directory = directory
        self._manner = manner
        self._space = space
        self._watch = watch
        self._files = recovered.files
        self._damaged = recovered.damaged
        self._current: StoredFile | None = None
        self._open_file: LogFile | None = None
        if recovered.newest is not None:
            self._current, found = recovered.newest
            self._open_file = manner.open(self._current.path, self._current.salt, found.end)
        self._full_at = FILE_BYTES
        """How large the current file grows before another is wanted."""
        self._parted = 0
        """Up to here entries are apart from those behind them."""

    def file_for(self, number: int, needed: int) -> LogFile:
        """The one that the entry with this number goes to, at its end. Entries before `needed` are
        durably released.
        """
        file, stored = self._open_file, self._current
        if file is None or stored is None or stored.last <= self._parted < number:
            file, stored = self._begin_file(needed)
        elif file.end >= self._full_at:
            try:
                file, stored = self._begin_file(needed)
            except OSError as error:
                if error.errno not in _NO_FILE_NOW:
                    raise
                self._full_at = file.end + _TRY_AGAIN_BYTES
                _log.warning(
                    "%s goes on to grow: no other file can be had: %s.", stored.path, error
                )
        stored.last = number
        return file

    def go_over_to(self, manner: Manner) -> None:
        """Begin another file with the next entry, and write it in this manner."""
        self._manner = manner
        self._full_at = 0

    def part(self, last: int, needed: int) -> None:
        """Keep entries after `last` apart from those up to it, and remove what is free of these."""
        self._parted = last
        self.remove_parted(needed)

    def remove_parted(self, needed: int) -> None:
        """Remove what is free and was parted from the rest, and what cannot be read."""
        gone = [file for file in self._free_files(needed) if file.last <= self._parted]
        if not gone and not self._damaged:
            return
        self._look()
        for path in (*self._damaged, *(file.path for file in gone)):
            path.unlink()
        sync_directory(self._directory)
        self._damaged = []
        self._files = [file for file in self._files if file not in gone]

    def make_room(self, size: int) -> None:
        """So many bytes are about to be taken on the disk."""
        self._look()
        if self._space is not None:
            self._space.make_room(size)

    def sync(self) -> None:
        """Wait until what was appended to the current file is durable."""
        assert self._open_file is not None
        self._open_file.sync()
        # Durable in a directory that is gone is not durable.
        self._look()

    def sync_all(self) -> None:
        """Wait until all files are durable."""
        for stored in self._files:
            sync_file(stored.path)

    def close(self) -> None:
        if self._open_file is not None:
            self._open_file.close()

    def _begin_file(self, needed: int) -> tuple[LogFile, StoredFile]:
        self._look()
        free = self._free_files(needed)
        stored = min(free, key=lambda file: file.last) if free else self._new_file()
        file = self._manner.open(stored.path, stored.salt, BLOCK)
        self.close()
        self._current, self._open_file = stored, file
        self._full_at = FILE_BYTES
        return file, stored

    def _new_file(self) -> StoredFile:
        used = {file.path for file in self._files}.union(self._damaged)
        names = (self._directory / f"{number}.log" for number in count(1))
        path = next(name for name in names if name not in used)
        spares = self._space is None or self._space.spares(FILE_BYTES)
        size = FILE_BYTES if spares else BLOCK
        self.make_room(size)
        stored = StoredFile(path, create(path, size))
        self._files.append(stored)
        return stored

    def _free_files(self, needed: int) -> list[StoredFile]:
        return [file for file in self._files if file.last < needed]

    def _look(self) -> None:
        if self._watch is not None:
            self._watch.look()
