"""The Log port: numbered entries, kept from the oldest that is needed on, which survive a crash.

Contract:

- Numbers follow one another and start at 1. A mark, which `release` appends, has one as well.
- `append` and `release` return before `done` is called. `done(arg, None)` means the entry is
  durable, in the sense the log was opened with, and so are all before it; `done(arg, error)`
  that it is not and the log takes no more. Each `done` is called exactly once, in order.
- After a crash the log holds all entries that are needed and whose `done` was called without
  an error, and of those behind them a prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from kvorum.model.errors import StorageError
from kvorum.storage.store import Done


class Log(Protocol):
    """A log of numbered entries."""

    @property
    def failed(self) -> StorageError | None:
        """Why the log takes no more entries; None while it does."""

    @property
    def last(self) -> int:
        """The number of the newest entry or mark, durable or not; 0 if there has been none."""

    def append(self, entry: bytes, done: Done, arg: Any) -> int:
        """Add `entry`, which is not empty. Returns its number."""

    def release(self, number: int, done: Done, arg: Any) -> None:
        """Say that entries up to `number` are needed no more, by a mark that is appended.

        When `done` is called that is durable. What only they took up is free then, or gone: see
        `part`.
        """

    def part(self) -> None:
        """Keep what is appended from now on apart from all before it.

        So no trace of the latter is left once it is released: it is removed, not written over,
        before the `done` of the `release` that frees it. What is free already is removed at once.
        """

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """What an earlier life left that is needed, oldest first, without marks.

        To be asked for before the first `append`.
        """
