"""Work on the engine's files that counts on all records being there: the journal is emptied first.

A key that sealed nothing in the files may still have sealed an entry; and where old records
must be gone from the files, so must the entries that held them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.errors import StorageError
from kvorum.sealing.scrub import Settled


class Files(Protocol):
    """The engine's. Each calls `settled` once, later."""

    def flush(self, settled: Settled, /) -> None:
        """Write to them what is only in the log."""

    def compact(self, settled: Settled, /) -> None:
        """Rewrite them, so that what was replaced or deleted is gone."""


class EmptiedFirst:
    """Work on `files`, each with the journal above them emptied before."""

    def __init__(self, journal: JournaledStore, files: Files) -> None:
        self._journal = journal
        self._files = files

    def empty(self, settled: Settled) -> None:
        """`settled(error)` once the journal has been emptied."""
        self._journal.empty(_tell, settled)

    def flush(self, settled: Settled) -> None:
        """As of `files`, with what the journal held."""
        self._journal.empty(_begin, (self._files.flush, settled))

    def compact(self, settled: Settled) -> None:
        """As of `files`, with what the journal held."""
        self._journal.empty(_begin, (self._files.compact, settled))


def _tell(settled: Settled, error: StorageError | None) -> None:
    settled(error)


def _begin(work: tuple[Callable[[Settled], None], Settled], error: StorageError | None) -> None:
    begin, settled = work
    if error is not None:
        settled(error)
    else:
        begin(settled)
