"""The lines of a file that are wrong: told, counted, and at some point too many."""

from __future__ import annotations

from collections.abc import Callable

from kvorum.cli.entries.entry_lines import Reject
from kvorum.model.errors import PreconditionFailed


class TooManyRejected(PreconditionFailed):
    code = "too_many_rejected"


class Rejections:
    def __init__(self, count: int, most: int | None, tell: Callable[[Reject], None]) -> None:
        """`count` of them before this run; no bound if `most` is None."""
        self.count = count
        self._most = most
        self._tell = tell

    def add(self, line: Reject) -> None:
        """Raises TooManyRejected."""
        self.count += 1
        self._tell(line)
        if self._most is not None and self.count > self._most:
            raise TooManyRejected(f"wanted at most {self._most} rejected lines, got one more")
