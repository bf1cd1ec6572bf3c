"""The trace: one line per event, and a running hash of all lines.

Two runs of a seed are the same run exactly if their hashes are equal, so the hash is what
tells that nothing outside the seed (hash order, addresses, the clock) leaked into it.
"""

from __future__ import annotations

from collections.abc import Callable

import xxhash

from kvorum.sim.scheduler import Scheduler


class Trace:
    """The trace of one run."""

    def __init__(self, scheduler: Scheduler, sink: Callable[[str], object] | None = None) -> None:
        """`sink` gets every line; None keeps only the hash."""
        self._scheduler = scheduler
        self._hash = xxhash.xxh3_64()
        self._sink = sink

    def note(self, event: str) -> None:
        line = f"{self._scheduler.now:.6f} {event}"
        self._hash.update(line.encode())
        if self._sink is not None:
            self._sink(line)

    @property
    def shown(self) -> bool:
        """True if someone reads along, so that `show` is worth its cost."""
        return self._sink is not None

    def show(self, detail: str) -> None:
        """Something for the reader that adds nothing to the hash."""
        if self._sink is not None:
            self._sink(detail)

    def digest(self) -> str:
        return self._hash.hexdigest()
