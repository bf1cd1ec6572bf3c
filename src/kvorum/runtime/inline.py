"""`Runtime` without an event loop: the thread of the caller runs the callbacks itself.

For the embedded store, whose operations need nothing but the local disk. Timers are looked
at when the runtime is turned, so they come late rather than early.
"""

from __future__ import annotations

import heapq
import os
import random
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any

from kvorum.runtime.ports import Cancellable


class _Timer:
    __slots__ = ("args", "callback", "cancelled", "due", "order")

    def __init__(
        self, due: float, order: int, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.due = due
        self.order = order
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def __lt__(self, other: _Timer) -> bool:
        return (self.due, self.order) < (other.due, other.order)


class InlineRuntime:
    """A `Runtime` that runs its callbacks when `turn` is called."""

    __slots__ = ("_order", "_soon", "_timers", "now", "rng")

    def __init__(self) -> None:
        self.rng = random.Random(os.urandom(32))
        self.now: Callable[[], float] = time.monotonic
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[_Timer] = []
        self._order = count()

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._soon.append((callback, args))

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> Cancellable:
        timer = _Timer(self.now() + delay_s, next(self._order), callback, args)
        heapq.heappush(self._timers, timer)
        return timer

    @property
    def is_due(self) -> bool:
        """True if `turn` has something to run."""
        timers = self._timers
        return bool(self._soon) or (bool(timers) and timers[0].due <= self.now())

    def turn(self) -> bool:
        """Run all callbacks that are due, and all that these ask for; True if a timer was due."""
        timers, soon = self._timers, self._soon
        had_timers = False
        while timers and timers[0].due <= self.now():
            had_timers = True
            timer = heapq.heappop(timers)
            if not timer.cancelled:
                soon.append((timer.callback, timer.args))
        while soon:
            callback, args = soon.popleft()
            callback(*args)
        return had_timers
