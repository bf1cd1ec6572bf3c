"""Latencies in log buckets (the idea of HDR Histogram): small, mergeable, of known error.

Values below 2**(PRECISION_BITS + 1) have a bucket each. Above, each power of two is cut into
2**PRECISION_BITS equal buckets, so that a bucket is never wider than value / 128:

    value v, shift = max(bit_length(v) - PRECISION_BITS - 1, 0)
    bucket = (shift << PRECISION_BITS) + (v >> shift)

This numbering has no gaps and keeps the order. A quantile is reported as the top of its
bucket: never below the true value, and less than 1/128 above it. Count, sum and maximum are
exact. Buckets are sparse; a histogram of 1 ns to 1 minute has fewer than 4,000.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PRECISION_BITS: Final = 7


def bucket_of(value: int) -> int:
    """The number of the bucket that counts `value`."""
    shift = value.bit_length() - PRECISION_BITS - 1
    if shift <= 0:
        return value
    return (shift << PRECISION_BITS) + (value >> shift)


def top_of(bucket: int) -> int:
    """The largest value in `bucket`."""
    shift = (bucket >> PRECISION_BITS) - 1
    if shift <= 0:
        return bucket
    return ((bucket - (shift << PRECISION_BITS) + 1) << shift) - 1


class Histogram:
    """Counts of integers >= 0, in whatever unit the caller keeps to."""

    __slots__ = ("_buckets", "count", "highest", "total")

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0
        self.highest = 0

    def record(self, value: int, times: int = 1) -> None:
        """Count `value`. Raises ValueError if it is negative."""
        if value < 0:
            raise ValueError(f"A histogram counts values of 0 or more, not {value}.")
        bucket = bucket_of(value)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += times
        self.total += value * times
        if value > self.highest:
            self.highest = value

    def merge(self, other: Histogram) -> None:
        """Add all that `other` has counted."""
        for bucket, times in other._buckets.items():
            self._buckets[bucket] = self._buckets.get(bucket, 0) + times
        self.count += other.count
        self.total += other.total
        self.highest = max(self.highest, other.highest)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def quantiles(self, shares: Iterable[float]) -> list[int]:
        """For each share s in [0, 1] the value that s of all values do not exceed."""
        wanted = list(shares)
        found = dict.fromkeys(wanted, 0)
        waiting = sorted(found, reverse=True)
        seen = 0
        for bucket in sorted(self._buckets):
            seen += self._buckets[bucket]
            while waiting and seen >= waiting[-1] * self.count:
                found[waiting.pop()] = min(top_of(bucket), self.highest)
        return [found[share] for share in wanted]
