"""What a phase of load has seen: latencies by kind of operation, errors by kind and reason.

An operation that fails is an error and has no latency: a refusal that comes fast must not
make a server look fast.
"""

from __future__ import annotations

from collections import Counter

from kvorum.bench.histogram import Histogram


class Measurement:
    """Latencies are in nanoseconds; `elapsed_s` is the time in which all of it happened."""

    __slots__ = ("elapsed_s", "errors", "latencies")

    def __init__(self) -> None:
        self.latencies: dict[str, Histogram] = {}
        self.errors: Counter[tuple[str, str]] = Counter()
        self.elapsed_s = 0.0

    def succeeded(self, kind: str, latency_ns: int) -> None:
        histogram = self.latencies.get(kind)
        if histogram is None:
            histogram = self.latencies[kind] = Histogram()
        histogram.record(latency_ns)

    def failed(self, kind: str, reason: str) -> None:
        self.errors[kind, reason] += 1

    def merge(self, other: Measurement) -> None:
        """Add what was measured during the same time."""
        for kind, histogram in other.latencies.items():
            self.latencies.setdefault(kind, Histogram()).merge(histogram)
        self.errors.update(other.errors)
        self.elapsed_s = max(self.elapsed_s, other.elapsed_s)

    @property
    def success_count(self) -> int:
        return sum(histogram.count for histogram in self.latencies.values())

    @property
    def error_count(self) -> int:
        return self.errors.total()

    @property
    def error_share(self) -> float:
        """Errors per attempt, 0 to 1."""
        attempts = self.success_count + self.error_count
        return self.error_count / attempts if attempts else 0.0

    @property
    def per_second(self) -> float:
        return self.success_count / self.elapsed_s if self.elapsed_s else 0.0
