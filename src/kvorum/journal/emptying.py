"""Emptying the journal: who waits until all up to some entry is flushed, and its entries gone."""

from __future__ import annotations

from typing import Any

from kvorum.journal.segment import Segment
from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Runtime
from kvorum.storage.answering import answer
from kvorum.storage.log import Log
from kvorum.storage.store import Done


class Emptying:
    """Those who wait, in the order in which they asked."""

    def __init__(self, runtime: Runtime, log: Log) -> None:
        self._runtime = runtime
        self._log = log
        self._waiting: list[tuple[int, Done, Any]] = []

    @property
    def is_asked(self) -> bool:
        """True if somebody waits."""
        return bool(self._waiting)

    def ask(self, done: Done, arg: Any) -> None:
        """`done(arg, error)` once the log has let go of all that it has now."""
        self._waiting.append((self._log.last, done, arg))

    def wants(self, segment: Segment) -> bool:
        """True if somebody waits for entries of `segment`."""
        return bool(self._waiting) and 0 < segment.first <= self._waiting[-1][0]

    def settle(self, oldest: int) -> None:
        """Entries before the one of the number `oldest` have been flushed: let go of them."""
        while self._waiting and self._waiting[0][0] < oldest:
            number, done, arg = self._waiting.pop(0)
            self._log.release(number, done, arg)

    def give_up(self, error: StorageError) -> None:
        """Nothing is flushed any more."""
        waiting, self._waiting = self._waiting, []
        answer(self._runtime, ((done, arg) for _, done, arg in waiting), error)
