"""The pace of background work: as fast as leaves the foreground alone, and no fixed rate.

Repair and hint replay ask how long to pause before each small portion of work. While
clients' operations are about as quick as they were in calmer times, the pause shrinks by a
fifth each time, down to none; once their 99th percentile is clearly above that, it doubles
(additive increase and multiplicative decrease, seen from the rate: V. Jacobson, "Congestion
Avoidance and Control", 1988). Where no client has asked for anything since the last portion
there is nobody to disturb.

"Calmer times" is a floor under the percentile that follows it down at once and up by a
thousandth per portion, so a cluster that has become slower for good is its own new measure.
"""

from __future__ import annotations

from typing import Final

from kvorum.replication.quantile import Quantile

PAUSE_S_MAX: Final = 0.5
_PAUSE_S_MIN: Final = 0.001
_TOLERATED: Final = 1.5
_NOISE_MS: Final = 2.0


class Pace:
    __slots__ = ("_calm_ms", "_latency_ms", "_pause_s", "_seen")

    def __init__(self) -> None:
        self._latency_ms = Quantile(0.99, 20.0)
        self._calm_ms = 20.0
        self._pause_s = 0.0
        self._seen = 0

    def sample(self, elapsed_ms: float) -> None:
        """A client's operation took so long."""
        self._latency_ms.add(elapsed_ms)

    def pause_s(self) -> float:
        """How long to wait before the next portion of background work."""
        latency = self._latency_ms
        idle = latency.samples == self._seen
        self._seen = latency.samples
        self._calm_ms = min(latency.estimate, self._calm_ms * 1.001)
        if not idle and latency.estimate > _TOLERATED * self._calm_ms + _NOISE_MS:
            self._pause_s = min(max(2 * self._pause_s, _PAUSE_S_MIN), PAUSE_S_MAX)
        else:
            self._pause_s *= 0.8
            if self._pause_s < _PAUSE_S_MIN:
                self._pause_s = 0.0
        return self._pause_s
