"""Durations: a histogram of how long something took, in seconds.

A duration counts in the first bucket whose bound it does not exceed, as in Prometheus. The bounds
are the same for all, so that histograms of several nodes can be added up.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final

_STEPS: Final = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5)
_POWERS: Final = (0.0001, 0.001, 0.01, 0.1, 1.0)
BOUNDS: Final[tuple[float, ...]] = (
    *(round(step * power, 5) for power in _POWERS for step in _STEPS),
    *(10.0, 30.0),
)
"""The upper bounds of the buckets, from 0.1 ms to 30 s; the last bucket has none."""


class Durations:
    """How often something took how long. `counts`: by bucket. `seconds`: in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took so long."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def add_all(self, durations: list[float]) -> None:
        """Count all of these; `durations` is sorted by that."""
        if not durations:
            return
        durations.sort()
        self.seconds += sum(durations)
        below = 0
        for bucket, bound in enumerate(BOUNDS):
            upto = bisect_right(durations, bound, below)
            self.counts[bucket] += upto - below
            below = upto
            if below == len(durations):
                return
        self.counts[-1] += len(durations) - below

    def merge(self, other: Durations) -> None:
        """Count what `other` has counted."""
        for bucket, number in enumerate(other.counts):
            self.counts[bucket] += number
        self.seconds += other.seconds

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.counts)

    def quantile(self, q: float) -> float | None:
        """The bound that the fraction `q` of them did not exceed; None if there was none. What is
        beyond the last bound counts as that bound.
        """
        wanted, seen = q * self.count, 0
        for number, bound in zip(self.counts, (*BOUNDS, BOUNDS[-1]), strict=True):
            seen += number
            if number and seen >= wanted:
                return bound
        return None
