"""Space: the room on a data directory's file system, watched so that the engine never lacks any.

An engine that meets a full disk in the middle of a write or a flush can only stop. So new data
is refused while there still is room: for all that the engine holds in memory and will have to
write to files, and a margin for what it does in the background.

    free >= in memory + margin     writes go on
    less                           full: new data is refused; reads go on, and small writes:
                                   deletes, hints, marks, which let go of data or of its owner
    less than the next write and   the reserve, a file that only takes up room, is given up:
    what is in memory may need     others may have filled the disk meanwhile

Whether it is full is looked at with each commit and several times a second, so nobody has to
restart the node when room returns. To be full no longer takes half a margin more, and room for
the reserve, which is then made again. Also a start gives the reserve up if the disk is too full
for it: the identity has to be written, and what the log holds becomes a sorted file.

On a small file system margin and reserve are a sixteenth of it.

A file system that has bytes left and no inodes is full as well: see `inodes.py`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kvorum.storage.inodes import Inodes

MARGIN_BYTES_MAX: Final = 64 << 20
RESERVE_BYTES_MAX: Final = 16 << 20
SMALL_PART: Final = 16
"""On a small file system, which part of it something may take at most."""

RESERVE: Final = "RESERVE"

_MEBI: Final = 1 << 20

_log = logging.getLogger(__name__)


def free_bytes(directory: Path) -> int:
    """What this user may still write to the file system of `directory`."""
    stat = os.statvfs(directory)
    return stat.f_bavail * stat.f_frsize


def total_bytes(directory: Path) -> int:
    """The size of the file system that `directory` is on."""
    stat = os.statvfs(directory)
    return stat.f_blocks * stat.f_frsize


def mount_point(path: Path) -> Path:
    """Where the file system is mounted that holds `path`: the name people know it by."""
    return next(parent for parent in (path, *path.parents) if parent.is_mount())


class Space:
    """The room on the disk of a data directory, and a reserve of it in a file."""

    __slots__ = (
        "_directory",
        "_free_bytes",
        "_inodes",
        "_lacks_bytes",
        "_reserve",
        "_reserved",
        "full",
        "margin",
        "reserve",
    )

    def __init__(
        self,
        directory: Path,
        total: int | None = None,
        free: Callable[[Path], int] = free_bytes,
        inodes: Inodes | None = None,
    ) -> None:
        """`directory` belongs to this process alone. The others are for tests."""
        small = (total or total_bytes(directory)) // SMALL_PART
        self.margin = min(MARGIN_BYTES_MAX, small)
        self.reserve = min(RESERVE_BYTES_MAX, small)
        self.full = False
        """True if there are too few bytes, or too few inodes."""
        self._lacks_bytes = False
        self._inodes = inodes or Inodes(directory)
        self._directory = directory
        self._free_bytes = free
        self._reserve = directory / RESERVE
        self._reserved = self._reserve.exists()

    def look(self, in_memory: int) -> None:
        """Find out whether it is full, where the engine holds `in_memory` bytes."""
        free = self._free_bytes(self._directory)
        needed = in_memory + self.margin
        if self._lacks_bytes:
            needed += self.margin // 2
        if not self._reserved:
            needed += self.reserve
        lacks_bytes = free < needed or not (self._reserved or self._take_reserve())
        if lacks_bytes != self._lacks_bytes:
            self._lacks_bytes = lacks_bytes
            self._tell(free, needed)
        self._inodes.look()
        self.full = lacks_bytes or self._inodes.full

    @property
    def free(self) -> int:
        """Bytes that may still be written to the file system."""
        return self._free_bytes(self._directory)

    @property
    def total(self) -> int:
        """The size of the file system."""
        return total_bytes(self._directory)

    def spares(self, wanted: int) -> bool:
        """True if `wanted` bytes can be taken up ahead of need: so that it is far from full."""
        return not self.full and self._free_bytes(self._directory) >= wanted + 2 * self.margin

    def make_room(self, wanted: int) -> None:
        """Give the reserve up if less than `wanted` bytes are free, or hardly any inode."""
        self._inodes.make_room()
        if self._reserved and self._free_bytes(self._directory) < wanted:
            self._reserve.unlink()
            self._reserved = False
            _log.warning(
                "The %d MiB kept in %s are given up, as the disk is full and writes are under way.",
                self.reserve // _MEBI,
                self._reserve,
            )

    def _take_reserve(self) -> bool:
        try:
            descriptor = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self.reserve)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._reserve.unlink(missing_ok=True)
            _log.warning("Room cannot be reserved in %s: %s.", self._reserve, error)
            return False
        self._reserved = True
        return True

    def _tell(self, free: int, needed: int) -> None:
        if self._lacks_bytes:
            _log.error(
                "The disk of %s is full: %d MiB free, %d needed. Writes are refused, reads and "
                "deletes go on. Make room, and writes go on by themselves.",
                self._directory,
                free // _MEBI,
                needed // _MEBI,
            )
        else:
            _log.warning(
                "The disk of %s has room again, %d MiB. Writes go on.",
                self._directory,
                free // _MEBI,
            )
