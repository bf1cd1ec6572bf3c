"""Checkpoints of all that was written before: what only the journal holds is flushed first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.errors import DiskFull, StorageError

_LOOK_EVERY_S: Final = 1.0


class Files(Protocol):
    """The engine's."""

    @property
    def full(self) -> bool:
        """True while there is no room, in which nothing is flushed."""

    def checkpoint(self, path: Path) -> None:
        """Make the directory `path` of the files as they are now. Blocks. Raises StorageError."""


@dataclass(eq=False)
class Checkpoints:
    """`hand_over(callback, *args)` has the loop call back; it may be called from a thread."""

    _journal: JournaledStore
    _files: Files
    _hand_over: Callable[..., object]

    def make(self, path: Path) -> None:
        """Make `path`. Blocks; for any thread but the loop's. Raises StorageError or DiskFull."""
        emptied: Future[StorageError | None] = Future()
        self._hand_over(self._journal.empty, _tell, emptied)
        error = self._wait_for(emptied, path)
        if error is not None:
            raise error
        self._files.checkpoint(path)

    def _wait_for(self, emptied: Future[StorageError | None], path: Path) -> StorageError | None:
        while not self._files.full:
            try:
                return emptied.result(_LOOK_EVERY_S)
            except TimeoutError:
                continue
        raise DiskFull(
            f"There is no room to flush what belongs to a checkpoint in {path}: the disk is full. "
            "Make room on it."
        )


def _tell(emptied: Future[StorageError | None], error: StorageError | None) -> None:
    emptied.set_result(error)
