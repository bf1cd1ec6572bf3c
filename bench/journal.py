"""When each request of a load was answered, and how long it had taken: to be cut as one likes.

Times are in nanoseconds of the monotonic clock, and the answers are in their order.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import pairwise

from kvorum.bench.histogram import Histogram


class Journal:
    __slots__ = ("_answered", "_latencies")

    def __init__(self) -> None:
        self._answered = array("q")
        self._latencies = array("q")

    def record(self, began_ns: int, answered_ns: int) -> None:
        self._answered.append(answered_ns)
        self._latencies.append(answered_ns - began_ns)

    def count(self, since_ns: int, until_ns: int) -> int:
        first, last = self._between(since_ns, until_ns)
        return last - first

    def per_second(self, since_ns: int, until_ns: int) -> float:
        return self.count(since_ns, until_ns) / ((until_ns - since_ns) / 1e9)

    def rates(self, since_ns: int, until_ns: int, width_ns: int) -> list[float]:
        """Answers a second in each whole stretch of `width_ns`."""
        edges = range(since_ns, until_ns + 1, width_ns)
        return [self.per_second(since, until) for since, until in pairwise(edges)]

    def latencies(self, since_ns: int, until_ns: int) -> Histogram:
        histogram = Histogram()
        first, last = self._between(since_ns, until_ns)
        for latency in self._latencies[first:last]:
            histogram.record(latency)
        return histogram

    def _between(self, since_ns: int, until_ns: int) -> tuple[int, int]:
        return bisect_left(self._answered, since_ns), bisect_left(self._answered, until_ns)
