"""TurnClock: the time, read once a turn of the loop however often it is asked for.

To look at the real clock costs more than all else that it takes to measure a request, and where a
node is busy many requests share a turn. So the time of this turn is remembered until the loop calls
back. Times are late by no more than a turn.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any


class TurnClock:
    """Monotonic seconds: `clock.now or clock.read()`. `now`: the time of this turn; 0.0 before it
    was read.
    """

    __slots__ = ("_call_soon", "_now", "now")

    def __init__(self, call_soon: Callable[..., Any], now: Callable[[], float] = monotonic) -> None:
        """`call_soon(callback)` runs `callback` in the next turn."""
        self._call_soon = call_soon
        self._now = now
        self.now = 0.0

    def read(self) -> float:
        """Read the time, for this turn."""
        now = self.now = self._now()
        self._call_soon(self._forget)
        return now

    def _forget(self) -> None:
        self.now = 0.0
