"""How long to wait before asking again: exponential, with full jitter.

The n-th pause is drawn evenly from [0, min(cap, first * 2**n)], so that clients that failed
together do not come back together. The pauses are few: an error that lasts must be told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """The bounds of the pauses (in seconds), and how many there are at most."""

    first_s: float = 0.05
    cap_s: float = 1.0
    pauses: int = 5

    def draw(self, rng: random.Random) -> Iterator[float]:
        """The pauses of one call."""
        for n in range(self.pauses):
            yield rng.uniform(0.0, min(self.cap_s, self.first_s * 2**n))
