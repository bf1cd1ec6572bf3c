"""Written files: the chain on the disk, line by line, in files that are rotated by size.

A file that has grown to its size is followed by the next one. When there are more files than are
kept, an entry says which one is about to be removed and where the chain begins then; it is durable
before the file is gone.

What could not be written whole is cut off before the next attempt, so that a disk that was full
leaves no trace in the chain.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kvorum.audit.chain import Link, seal
from kvorum.audit.files import log_files, path_of
from kvorum.audit.recovery import Recovered, last_link, recover
from kvorum.storage.durable_file import sync_directory

TellRemoved = Callable[[str, Link | None], bytes]
"""The JSON object of an entry: the file of this name is removed, whose last line is there in the
chain."""


class WrittenFiles:
    """The files of a log that this process writes. All methods raise OSError; what they were to
    write is not written then, and can be tried again.
    """

    def __init__(
        self, directory: Path, file_bytes: int, files: int, tell_removed: TellRemoved
    ) -> None:
        self._directory = directory
        self._file_bytes = file_bytes
        self._kept = files
        self._tell_removed = tell_removed
        self._last: Link
        self._number = 0
        self._descriptor = -1
        self._end = 0
        """Up to where the current file holds whole lines."""
        self._is_cut = True
        """Nothing follows there."""
        self.is_synced = True
        """All lines are durable."""
        self._may_trim = True

    def open(self) -> Recovered:
        """Go on with what is in the directory."""
        recovered = recover(self._directory)
        self._last = recovered.last
        if recovered.file is None:
            self._begin(1)
        else:
            self._open(recovered.file.number)
        return recovered

    def write(self, texts: Sequence[bytes]) -> None:
        """Append a line for each of `texts`, JSON objects."""
        if self._end >= self._file_bytes or not self._is_there():
            self._begin(self._number + 1)
        self._append(texts)

    def trim(self) -> None:
        """Remove files beyond those that are kept."""
        if not self._may_trim:
            return
        for file in log_files(self._directory)[: -self._kept]:
            self._append([self._tell_removed(file.path.name, last_link(file.path))])
            self.sync()
            file.path.unlink()
        self._may_trim = False

    def sync(self) -> None:
        """Wait until all lines are durable."""
        if not self.is_synced:
            os.fsync(self._descriptor)
            self.is_synced = True

    def close(self) -> None:
        """Sync, and let go of the files."""
        try:
            self.sync()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def last(self) -> Link:
        """The place of the last line in the chain."""
        return self._last

    def _begin(self, number: int) -> None:
        if self._descriptor >= 0:
            self.sync()
        self._open(number)
        sync_directory(self._directory)

    def _open(self, number: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path_of(self._directory, number), flags, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._number = number
        self._end = os.fstat(descriptor).st_size
        self._is_cut = True
        self._may_trim = True

    def _append(self, texts: Sequence[bytes]) -> None:
        last, lines = self._last, []
        for text in texts:
            line, last = seal(text, last)
            lines.append(line)
        if not self._is_cut:
            os.ftruncate(self._descriptor, self._end)
        self._is_cut = False
        data = memoryview(b"".join(lines))
        size = len(data)
        while data:
            data = data[os.write(self._descriptor, data) :]
        self._is_cut = True
        self.is_synced = False
        self._end += size
        self._last = last

    def _is_there(self) -> bool:
        """False if somebody has removed or replaced the current file."""
        try:
            found = path_of(self._directory, self._number).stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self._descriptor))
