"""Allowances: how much a principal may ask of this node at a time.

Requests and bytes are limited by a token bucket each: what the limit allows in one second may be
asked for at once, and comes back at that rate. How many operations a list has and how long an
answer is shows only after a request was let in, so a bucket may go below empty; then nothing more
is let in until it has been refilled. Refilling is arithmetic when somebody asks; there are no
timers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.model.errors import TooManyRequests
from kvorum.model.security_values import PrincipalLimits

_RETRY_S_MAX: Final = 3600.0
_CONNECTIONS_RETRY_S: Final = 1


class Bucket:
    """A token bucket, which is full at first. `rate`: what is put in per second, and the most it
    holds; 0 for one that is never empty.
    """

    __slots__ = ("_at", "_level", "rate")

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self._level = rate
        self._at = now

    def wait(self, now: float) -> float:
        """In how many seconds there is one in it; 0 if there is now."""
        if not self.rate:
            return 0
        self._level = min(self.rate, self._level + (now - self._at) * self.rate)
        self._at = now
        return max(0.0, (1 - self._level) / self.rate)

    def take(self, amount: float) -> None:
        """Take that much out, which may be more than there is."""
        if self.rate:
            self._level -= amount


class Allowance:
    """What is left of the limits of a principal, over all of its connections."""

    __slots__ = ("_bytes", "_now", "_requests", "connections", "limits", "name")

    def __init__(self, name: str, limits: PrincipalLimits, now: Callable[[], float]) -> None:
        """`name`: the principal's, as messages tell it. `now`: monotonic seconds."""
        self.name: Final = name
        self.limits: Final = limits
        self._now: Final = now
        self._requests = Bucket(limits.requests_per_s, now())
        self._bytes = Bucket(limits.bytes_per_s, now())
        self.connections = 0
        """How many there are."""

    def admit(self, size: int) -> None:
        """Let in a request of `size` bytes. Raises TooManyRequests; then it is not counted."""
        now = self._now()
        self._check(self._requests, now, "requests")
        self._check(self._bytes, now, "bytes")
        self._requests.take(1)
        self._bytes.take(size)

    def charge_operations(self, count: int) -> None:
        """A request that was let in asks for so many operations in place of one."""
        self._requests.take(max(0, count - 1))

    def charge_bytes(self, size: int) -> None:
        """An answer has so many bytes."""
        self._bytes.take(size)

    def connect(self) -> None:
        """Count another connection. Raises TooManyRequests if there may be no more."""
        most = self.limits.connections
        if most and self.connections >= most:
            raise TooManyRequests(
                f"{self.name} has {self.connections} connections to this node, and may have "
                f"{most}. Close one first, or use it for this request as well.",
                retry_after=_CONNECTIONS_RETRY_S,
            )
        self.connections += 1

    def disconnect(self) -> None:
        """One of the connections has ended."""
        self.connections -= 1

    def _check(self, bucket: Bucket, now: float, what: str) -> None:
        wait = bucket.wait(now)
        if wait:
            raise TooManyRequests(
                f"{self.name} may ask this node for {bucket.rate:,g} {what} a second, and has "
                "asked for more. Nothing was done.",
                retry_after=min(wait, _RETRY_S_MAX),
            )
