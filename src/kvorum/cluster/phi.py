"""Phi-accrual suspicion (Hayashibara, Défago, Yared, Katayama 2004).

Instead of "no heartbeat for t seconds", the detector learns how a node's heartbeats arrive
and says how unlikely its present silence is:

    phi(silence) = -log10 P(gap > silence),  gaps ~ Normal(mean, deviation) of a recent window

phi 1 is wrong one time in 10, phi 8 one in 10^8, were gaps normal. They are not quite (loss
makes a second hump at twice the interval), so phi starts a probe, never a verdict.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

PHI_MAX: Final = 300.0
"""Where a double can no longer tell the probability from 0."""

_GAP_MAX_INTERVALS: Final = 10
"""A longer gap is counted as this long: one hiccup must not blunt the detector for a window."""


class Arrivals:
    """When heartbeats of one node arrive, and how suspicious its silence is."""

    def __init__(self, interval_s: float, window: int, floor_s: float) -> None:
        self.last = math.inf
        """When the last sign of life came, monotonic; infinite while none is expected."""
        self._beat: float | None = None
        self._floor_s = floor_s
        self._gap_max_s = interval_s * _GAP_MAX_INTERVALS
        self._gaps: deque[float] = deque(maxlen=window)
        self._sum = self._squares = 0.0
        # Until gaps are known: about an interval, give or take.
        for guess in (0.75 * interval_s, 1.25 * interval_s):
            self._add(guess)

    def expect(self, first: float) -> None:
        """From `first` on, silence is suspicious, if there is no sign of life before."""
        self.last = min(self.last, first)

    def beat(self, now: float) -> None:
        """A new heartbeat has arrived, by whatever way."""
        if self._beat is not None:
            self._add(min(now - self._beat, self._gap_max_s))
        self._beat = self.last = now

    def sign(self, now: float) -> None:
        """Another sign of life. It ends the silence and tells nothing of gaps."""
        self.last = now

    def interrupt(self) -> None:
        """The gap up to the next heartbeat is an outage, no variation to learn from."""
        self._beat = None

    def forgive(self, pause_s: float, now: float) -> None:
        """This node was away for `pause_s` itself, and could hear nothing."""
        self.last = max(self.last, min(self.last + pause_s, now))
        self.interrupt()

    def phi(self, now: float) -> float:
        """How suspicious the silence is at `now`: 0 to PHI_MAX."""
        count = len(self._gaps)
        mean = self._sum / count
        late = now - self.last - mean
        if late <= 0:
            return 0.0
        variance = max(self._squares / count - mean * mean, self._floor_s**2)
        chance = 0.5 * math.erfc(late / math.sqrt(2 * variance))
        return min(-math.log10(chance), PHI_MAX) if chance > 0 else PHI_MAX

    def _add(self, gap: float) -> None:
        if len(self._gaps) == self._gaps.maxlen:
            oldest = self._gaps[0]
            self._sum -= oldest
            self._squares -= oldest * oldest
        self._gaps.append(gap)
        self._sum += gap
        self._squares += gap * gap
