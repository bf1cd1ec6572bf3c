"""Loop lag: how much later than it should the event loop calls back.

A node does all its work in the callbacks of one loop. What holds the loop for long delays every
request, so the lag is the first thing to look at where latencies are high. It is measured four
times a second by a timer. With it the latencies that were noted meanwhile are counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.runtime.durations import Durations
from kvorum.runtime.ports import Cancellable, Runtime

EVERY_S: Final = 0.25


class LoopLag:
    """Measures the lag from `start` to `stop`. `lags`: what it was."""

    def __init__(self, runtime: Runtime, on_tick: Callable[[], object]) -> None:
        """`on_tick` is called each time that the lag has been measured."""
        self.lags = Durations()
        self._runtime = runtime
        self._on_tick = on_tick
        self._timer: Cancellable | None = None

    def start(self) -> None:
        """Measure from now on."""
        due = self._runtime.now() + EVERY_S
        self._timer = self._runtime.call_later(EVERY_S, self._tick, due)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self, due: float) -> None:
        self.lags.add(max(0.0, self._runtime.now() - due))
        self._on_tick()
        self.start()
