"""Latencies: how long the requests at the door took, by kind of operation and by outcome.

The time runs from when a request is let in until its answer has been made. All is counted since the
node started.

A request that succeeds costs two looks at the clock and one addition to a list. The list is sorted
into the histogram later, all of it at once (`count`), as a search for the bucket of each request by
itself would cost more than all else here. Whoever has requests measured calls `count` now and then;
where nobody does (the embedded store) they are `UNMEASURED`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from kvorum.model.request import Delete, Get, Put, Request, Touch
from kvorum.runtime.durations import Durations

_KINDS: Final[dict[type[Request], str]] = {
    Get: "get",
    Put: "put",
    Touch: "touch",
    Delete: "delete",
}
SCAN: Final = "scan"
EXPORT: Final = "export"
LIST: Final = "list"
LOCATE: Final = "locate"
OPERATIONS: Final = (*_KINDS.values(), SCAN, EXPORT, LIST, LOCATE)

INTERNAL: Final = "internal_error"
"""The code of an answer that could not be made, by a fault of the program."""


class Timing(Protocol):
    """Is told of the end of an operation."""

    def took(self, seconds: float, /) -> None:
        """It succeeded."""

    def failed_with(self, code: str, seconds: float, /) -> None:
        """It ended with an error of this code."""


class Latency:
    """How long the operations of one kind took. `answered`: those that succeeded, as far as they
    were counted. `took`: to be told how many seconds one of them took. `failed`: the others, by
    the code of the error.
    """

    __slots__ = ("_taken", "answered", "failed", "took")

    def __init__(self) -> None:
        self.answered = Durations()
        self._taken: list[float] = []
        self.took: Callable[[float], None] = self._taken.append
        self.failed: dict[str, Durations] = {}

    def failed_with(self, code: str, seconds: float, /) -> None:
        """One took so long and ended with an error of this code."""
        self.failed.setdefault(code, Durations()).add(seconds)

    def count(self) -> None:
        """Count those that `took` was told of."""
        self.answered.add_all(self._taken)
        self._taken.clear()


class Latencies(dict[str, Latency]):
    """By kind of operation. A list counts as one operation, however many entries it has."""

    def __init__(self) -> None:
        super().__init__({kind: Latency() for kind in OPERATIONS})
        self.of: Final = {request: self[kind] for request, kind in _KINDS.items()}
        """By type of the request, for requests of one entry."""

    def count(self) -> None:
        """Count what has been measured since the last time."""
        for latency in self.values():
            latency.count()


class _Unmeasured(Latencies):
    """Keeps nothing of what it is told."""

    def __init__(self) -> None:
        super().__init__()
        for latency in self.values():
            latency.took = deque[float](maxlen=0).append


UNMEASURED: Final[Latencies] = _Unmeasured()
"""Where nobody asks how long requests take. What is told to it is not kept."""
