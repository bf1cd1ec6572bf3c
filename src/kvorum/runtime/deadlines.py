"""Deadlines without a timer per operation.

Operations with the same timeout expire in the order in which they began. So each timeout
value gets one queue and at most one armed timer, however many operations wait: adding is an
append, and an operation that has ended is dropped when it reaches the head of its queue.
Timeouts are rounded down to three significant digits, which bounds the number of queues.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, Protocol, TypeVar

from kvorum.runtime.ports import Runtime


class Ending(Protocol):
    """What can be watched: it ends by itself, or its deadline passes."""

    @property
    def ended(self) -> bool:
        """True once the item no longer cares about its deadline."""


T = TypeVar("T", bound=Ending)


@lru_cache(maxsize=1024)
def rounded(timeout_ms: int) -> int:
    """`timeout_ms` with all but its three leading digits zeroed."""
    scale = 1
    while timeout_ms // scale >= 1000:
        scale *= 10
    return timeout_ms // scale * scale


class Deadlines(Generic[T]):
    """The deadlines of many items: calls `expire` with each that has not ended in time, oldest
    first.
    """

    __slots__ = ("_expire", "_queues", "_runtime")

    def __init__(self, runtime: Runtime, expire: Callable[[T], None]) -> None:
        self._runtime = runtime
        self._expire = expire
        self._queues: dict[int, deque[tuple[float, T]]] = {}

    def watch(self, item: T, timeout_ms: int) -> None:
        """Have `item` expire in `timeout_ms`, unless it has ended by then."""
        queue = self._queues.get(timeout_ms)
        if queue is None:
            timeout_ms = rounded(timeout_ms)
            queue = self._queues.get(timeout_ms)
        if queue is None:
            self._runtime.call_later(timeout_ms / 1000, self._sweep, timeout_ms)
            queue = self._queues[timeout_ms] = deque()
        while queue and queue[0][1].ended:
            queue.popleft()
        queue.append((self._runtime.now() + timeout_ms / 1000, item))

    def clear(self) -> None:
        """Forget all items; none of them expires any more."""
        self._queues.clear()

    def _sweep(self, timeout_ms: int) -> None:
        queue = self._queues.get(timeout_ms)
        if queue is None:
            return
        now = self._runtime.now()
        expired = []
        while queue and (queue[0][1].ended or queue[0][0] <= now):
            expired.append(queue.popleft()[1])
        # First the timer, then the callbacks: one that fails must not end all later deadlines.
        if queue:
            self._runtime.call_later(max(queue[0][0] - now, 0.0), self._sweep, timeout_ms)
        else:
            del self._queues[timeout_ms]
        for item in expired:
            if not item.ended:
                self._runtime.call_soon(self._expire_once, item)

    def _expire_once(self, item: T) -> None:
        if not item.ended:
            self._expire(item)
