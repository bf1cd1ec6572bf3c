"""Inodes: whether the file system of a data directory takes more files.

Many file systems have a fixed number of inodes, one for each file, and may run out of them while
there are bytes left. The engine, which has to make a file for each flush, then stops as on a full
disk. So it is met in the same way (`space.py`): new data is refused while some inodes are left.

    free >= margin                  writes go on
    less                            full: new data is refused; the rest goes on
    less than `NEEDED`              the reserve is given up: empty files, which only take up inodes.
                                    Others may have taken the rest meanwhile

`NEEDED` is for what may have to be made from one look to the next, or by a start: a sorted file for
each memtable, the engine's log, manifest, options and info log with their drafts, files of the
journal, `node.json` and its draft. A file system that has as many inodes as bytes for them, such as
btrfs, says that it has 0 of them: there the number is no limit.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

NEEDED: Final = 16
MARGIN_MAX: Final = 128
RESERVE_MAX: Final = 32
SMALL_PART: Final = 16
"""On a file system with few inodes, which part of them margin and reserve are, each."""

RESERVE_FILES: Final = "RESERVE.files"

_log = logging.getLogger(__name__)


class Count(NamedTuple):
    """Of the inodes of a file system; a total of 0 stands for no limit."""

    free: int
    total: int


def count_inodes(directory: Path) -> Count:
    """`free` are those that this user may take."""
    stat = os.statvfs(directory)
    return Count(stat.f_favail, stat.f_files)


class Inodes:
    """The inodes of a file system, and a reserve of them in files."""

    __slots__ = ("_count", "_directory", "_held", "_reserve", "full", "margin", "reserve")

    def __init__(self, directory: Path, count: Callable[[Path], Count] = count_inodes) -> None:
        """`directory` belongs to this process alone. `count` is for tests."""
        part = count(directory).total // SMALL_PART
        self.margin = max(NEEDED, min(MARGIN_MAX, part))
        self.reserve = max(NEEDED, min(RESERVE_MAX, part))
        self.full = False
        self._directory = directory
        self._count = count
        self._reserve = directory / RESERVE_FILES
        self._held = len(os.listdir(self._reserve)) if self._reserve.exists() else 0

    def look(self) -> None:
        """Find out whether there are too few."""
        free, total = self._count(self._directory)
        needed = self.margin + self.reserve - self._held
        if self.full:
            needed += self.margin // 2
        full = total > 0 and (free < needed or not self._take_reserve())
        if full != self.full:
            self.full = full
            self._tell(free, needed)

    def make_room(self) -> None:
        """Give the reserve up if hardly a file can be made any more."""
        if not self._held:
            return
        free, total = self._count(self._directory)
        if total == 0 or free >= NEEDED:
            return
        for number in range(self._held):
            (self._reserve / str(number)).unlink(missing_ok=True)
        _log.warning(
            "The %d files kept in %s are given up: the file system has no inodes left for what "
            "is to be written.",
            self._held,
            self._reserve,
        )
        self._held = 0

    def _take_reserve(self) -> bool:
        if self._held >= self.reserve:
            return True
        try:
            self._reserve.mkdir(mode=0o700, exist_ok=True)
            for number in range(self._held, self.reserve):
                (self._reserve / str(number)).touch(mode=0o600)
                self._held = number + 1
        except OSError as error:
            _log.warning("Files cannot be reserved in %s: %s.", self._reserve, error)
            return False
        return True

    def _tell(self, free: int, needed: int) -> None:
        if self.full:
            _log.error(
                "The file system of %s has hardly any inodes left: %d free, %d needed. Writes are "
                "refused, reads and deletes go on. Remove files from it (df -i shows their "
                "number), and writes go on by themselves.",
                self._directory,
                free,
                needed,
            )
        else:
            _log.warning(
                "The file system of %s has inodes again, %d. Writes go on.", self._directory, free
            )
