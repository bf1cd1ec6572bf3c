"""Taking up at a start what earlier lives have left in the journal, and seeing what is missing.

replay ──> flushed, if it is more than one life should hold, or something is missing
       ──> a loss is noted where the replicator will find it
       ──> a journal without any entry gets its first, so that a later life misses it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.errors import StorageError
from kvorum.storage.directory import DataDirectory
from kvorum.storage.log_files import LogFiles
from kvorum.storage.recovery_note import note_loss

Settled = Callable[[StorageError | None], object]


@dataclass(eq=False)
class TakeUp:
    """Of one life. `on_replayed()` is called when the journal has been played back."""

    _journaled: JournaledStore
    _log: LogFiles
    _directory: DataDirectory
    _on_replayed: Callable[[], object]
    _replayed: bool = field(default=False, init=False)

    def empty(self, settled: Settled) -> None:
        """Have all flushed that the journal holds; `settled(error)` once it is."""
        try:
            self._replay()
        except StorageError as error:
            settled(error)
        else:
            self._journaled.empty(_tell, settled)

    def finish(self, settled: Settled) -> None:
        """Take up what was not emptied; `settled(error)` once the store above may be used."""
        try:
            if not self._replayed:
                self._replay()
        except StorageError as error:
            settled(error)
            return
        journaled = self._journaled
        if (journaled.overflows or self._directory.forgot) and not journaled.full:
            # Lives that ended before they could flush have left more than one should take over;
            # or what is missing would be missed at the next start again.
            journaled.empty(self._taken_up, settled)
        else:
            self._taken_up(settled, None)

    def _replay(self) -> None:
        self._replayed = True
        directory, log = self._directory, self._log
        wrong = self._journaled.replay() or log.wrong
        self._on_replayed()
        if log.newest < directory.newest:
            wrong = wrong or "the newest entries are missing, and it was stopped in order"
        if log.is_new and directory.journaled:
            wrong = "the journal's files are missing"
        if wrong is not None:
            directory.forget(wrong)

    def _taken_up(self, settled: Settled, error: StorageError | None) -> None:
        if error is not None:
            settled(error)
        elif self._directory.forgot:
            note_loss(self._journaled, self._loss_noted, settled)
        elif not self._directory.journaled:
            self._log.release(0, self._begun, settled)
        else:
            settled(None)

    def _loss_noted(self, settled: Settled, error: StorageError | None) -> None:
        try:
            if error is None:
                self._directory.noted_loss()
        except StorageError as failure:
            error = failure
        self._taken_up(settled, error)

    def _begun(self, settled: Settled, error: StorageError | None) -> None:
        try:
            if error is None:
                self._directory.began_journal()
        except StorageError as failure:
            error = failure
        settled(error)


def _tell(settled: Settled, error: StorageError | None) -> None:
    settled(error)
