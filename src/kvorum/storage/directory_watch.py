"""Whether the path of a data directory still leads to the directory that was opened there.

A directory can be removed, moved away, or replaced under the process that uses it. The files that
are open go on as if nothing had happened, but whatever the process makes, renames or removes by
its path is then somebody else's: the journal would write over that of a node started there anew.

The file LOCK tells: it is made when the directory is opened and stays locked until the end. While
its descriptor is open no other file can have its device and inode. So if the path of LOCK leads to
another file, or to none, the directory is not the one that was opened; or another process may lock
it by now, which is as bad. A look is one system call.

    looked   before a file is made, opened, renamed or removed by its path
             behind each sync of the journal, before what it made durable is acknowledged
             with each commit to the engine, and several times a second

A directory that is lost stays lost, also where the path leads to it again later: meanwhile the
engine may have lost files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from kvorum.model.errors import StorageError

LOCK: Final = "LOCK"


class DirectoryLost(StorageError):
    """The data directory was removed, moved or replaced: nothing may be done by its path."""


class DirectoryWatch:
    """Watches the directory `path`, whose file LOCK is open as the descriptor `lock`."""

    __slots__ = ("_lock", "_opened", "_path", "lost")

    def __init__(self, path: Path, lock: int) -> None:
        opened = os.fstat(lock)
        self._path = path
        self._lock = os.fspath(path / LOCK)
        self._opened = (opened.st_dev, opened.st_ino)
        self.lost: DirectoryLost | None = None
        """Why nothing may be done in the directory any more, from when it was first seen on."""

    def look(self) -> None:
        """Raises DirectoryLost unless the path still leads to what was opened."""
        if self.lost is None:
            why = self._difference()
            if why is None:
                return
            self.lost = DirectoryLost(
                f"The data directory {self._path} is no longer the one that was opened: {why}. "
                "Nothing more is written to it or acknowledged. Put the directory back if it was "
                "moved, and start again; or start on an empty one, which the other nodes, if there "
                "are any, give their data.",
                outcome="unknown",
            )
        raise self.lost

    def _difference(self) -> str | None:
        try:
            found = os.stat(self._lock)
        except FileNotFoundError:
            return f"{self._lock} is gone, as the directory was removed or moved"
        except NotADirectoryError:
            return "there is a file in its place"
        except OSError:
            return None  # A disk that fails is for those who use it to tell.
        if (found.st_dev, found.st_ino) == self._opened:
            return None
        return f"{self._lock} is another file, as the directory was replaced"
