"""The pace of background work: as fast as it can be without slowing clients' requests down.

All of it (hint replay, repair, the walk at start) shares one budget. After each portion of work the
worker asks how long to pause before the next; portions count in records, and the budget allows
`rate` of them a second. While clients' operations are about as quick as they were in calmer times,
the rate grows by a twentieth each tenth of a second; once their 99th percentile is clearly above
that, it halves (V. Jacobson, "Congestion Avoidance and Control", 1988). Where no client has asked
for anything lately nothing pauses.

"Calmer times" is a floor under the percentile that follows it down at once and up by a
hundredth a second, so a cluster that has become slower for good is its own new measure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.operations.quantile import Quantile
from kvorum.runtime.ports import Runtime

RATE_MIN: Final = 500.0
RATE_MAX: Final = 50_000.0
_RATE_AT_FIRST: Final = 1000.0
_CALM_MS_AT_FIRST: Final = 5.0
"""A node that has just started remembers no calmer times; it must not work the fastest for that."""
_STEP_S: Final = 0.1
_IDLE_S: Final = 0.5
_TOLERATED: Final = 1.4
_NOISE_MS: Final = 1.0


class Pace:
    """Tells background work how long to pause."""

    __slots__ = (
        "_calm_ms",
        "_free_at",
        "_latency_ms",
        "_now",
        "_rate",
        "_seen",
        "_seen_at",
        "_stepped_at",
        "sample",
    )

    def __init__(self, runtime: Runtime) -> None:
        self._now = runtime.now
        self._latency_ms = Quantile(0.99, _CALM_MS_AT_FIRST)
        self.sample: Callable[[float], object] = self._latency_ms.add
        """To be told how many milliseconds each operation of a client took."""
        self._calm_ms = _CALM_MS_AT_FIRST
        self._rate = _RATE_AT_FIRST
        self._free_at = 0.0
        self._seen = 0
        self._seen_at = -_IDLE_S
        self._stepped_at = 0.0

    def never_pause(self) -> None:
        """Take no notice of clients from now on: they wait for the work that is paced."""
        self.sample = _unheard

    @property
    def rate(self) -> float:
        """Records a second, while there is a foreground."""
        return self._rate

    @property
    def is_idle(self) -> bool:
        """True while no client has asked for anything lately."""
        return self._now() - self._seen_at >= _IDLE_S

    def pause_s(self, records: int) -> float:
        """How many seconds to pause now that so many records have been worked on; 0 for
        not at all.
        """
        now = self._now()
        if now - self._stepped_at >= _STEP_S:
            self._step(now)
        if now - self._seen_at >= _IDLE_S:
            return 0.0
        self._free_at = max(self._free_at, now) + records / self._rate
        return self._free_at - now

    def _step(self, now: float) -> None:
        elapsed_s, self._stepped_at = min(now - self._stepped_at, 1.0), now
        latency = self._latency_ms
        if latency.samples != self._seen:
            self._seen, self._seen_at = latency.samples, now
        self._calm_ms = min(latency.estimate, self._calm_ms * (1 + 0.01 * elapsed_s))
        if latency.estimate > _TOLERATED * self._calm_ms + _NOISE_MS:
            self._rate = max(self._rate / 2, RATE_MIN)
        else:
            self._rate = min(self._rate * 1.05, RATE_MAX)


def _unheard(_latency_ms: float) -> None:
    """No pause follows from it."""
