"""Speculative reads: when a replica is slow, another one is asked as well.

Slow is a read that takes longer than 99% of reads do (J. Dean and L. A. Barroso, "The Tail at
Scale", 2013, on hedged requests). The delay is one of a few fixed ones, so that few deadline queues
are needed.

A cluster that is slow as a whole must not be overloaded by its own second requests: each read earns
a tenth of one, and where none is left, a read waits for those it has asked.
"""

from __future__ import annotations

from operator import methodcaller
from typing import Protocol

from kvorum.operations.quantile import Quantile
from kvorum.runtime.deadlines import Deadlines
from kvorum.runtime.ports import Runtime

LADDER_MS = (5, 10, 20, 50, 100, 200, 500)


class Hedged(Protocol):
    """A read that may ask another replica."""

    @property
    def ended(self) -> bool: ...

    def on_slow(self) -> None:
        """It has taken longer than reads usually do."""


BUDGET_MAX = 100.0
EARNED_BY_READ = 0.1
_FRESH_SAMPLES = 16
"""For so many the delay is not looked at again."""


class Speculation:
    """When reads are slow, and how many of them may ask another replica."""

    __slots__ = ("_budget", "_deadlines", "_earned_to", "_fresh", "_usual_ms", "delay_ms", "watch")

    def __init__(self, runtime: Runtime) -> None:
        self._deadlines: Deadlines[Hedged] = Deadlines(runtime, methodcaller("on_slow"))
        self.watch = self._deadlines.watch
        """`watch(operation, delay_ms)` calls its `on_slow` if it has not ended by then."""
        self._usual_ms = Quantile(0.99, 20.0)
        self.delay_ms = 20
        """The first delay of the ladder that is no shorter than reads usually take, or the last
        one.
        """
        self._fresh = _FRESH_SAMPLES
        self._budget = BUDGET_MAX
        self._earned_to = 0

    def sample(self, elapsed_ms: float) -> None:
        """Learn how long a read took."""
        self._usual_ms.add(elapsed_ms)
        self._fresh -= 1
        if not self._fresh:
            self._climb()

    def _climb(self) -> None:
        self._fresh = _FRESH_SAMPLES
        usual_ms = self._usual_ms.estimate
        self.delay_ms = next((ms for ms in LADDER_MS if ms >= usual_ms), LADDER_MS[-1])

    def clear(self) -> None:
        self._deadlines.clear()

    def spend(self, reads: int) -> bool:
        """Take one speculative read from the budget; False if there is none. `reads`: how many
        there have been, each of which has earned some.
        """
        earned = (reads - self._earned_to) * EARNED_BY_READ
        self._budget = min(BUDGET_MAX, self._budget + earned)
        self._earned_to = reads
        if self._budget < 1:
            return False
        self._budget -= 1
        return True
