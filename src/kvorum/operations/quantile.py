"""A running estimate of a high quantile, without keeping samples.

Stochastic approximation: each sample above the estimate pushes it up by q of a step, each
below pulls it down by 1 - q of one, so it rests where a part of 1 - q lies above. Steps are
in proportion to the estimate, so it follows changes of scale at the same pace.
"""

from __future__ import annotations

_COARSE_UNTIL = 2.0
"""Below, steps grow no smaller."""


class Quantile:
    """An estimate of the `q` quantile. `samples`: how many it is made from."""

    __slots__ = ("_q", "_rest", "estimate", "samples")

    def __init__(self, q: float, estimate: float) -> None:
        self._q = q
        self._rest = 1 - q
        self.estimate = estimate
        self.samples = 0

    def add(self, sample: float) -> None:
        self.samples += 1
        estimate = self.estimate
        step = estimate * 0.05 if estimate > _COARSE_UNTIL else 0.1
        if sample > estimate:
            self.estimate = estimate + step * self._q
        else:
            self.estimate = estimate - step * self._rest
