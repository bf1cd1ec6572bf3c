"""A running estimate of a high quantile, without keeping samples.

Stochastic approximation: each sample above the estimate pushes it up by q of a step, each
below pulls it down by 1 - q of one, so it rests where a part of 1 - q lies above. Steps are
in proportion to the estimate, so it follows changes of scale at the same pace.
"""

from __future__ import annotations


class Quantile:
    __slots__ = ("_q", "estimate", "samples")

    def __init__(self, q: float, estimate: float) -> None:
        self._q = q
        self.estimate = estimate
        self.samples = 0

    def add(self, sample: float) -> None:
        self.samples += 1
        step = max(self.estimate * 0.05, 0.1)
        if sample > self.estimate:
            self.estimate += step * self._q
        else:
            self.estimate -= step * (1 - self._q)
