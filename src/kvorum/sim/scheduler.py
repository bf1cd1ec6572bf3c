"""Simulated time: a heap of (time, sequence number, timer), run in that order.

The sequence number makes the order total, so equal seeds give equal runs. Callbacks take no
time; time passes only between them. `NodeRuntime` is one node life's view: its callbacks are
dropped once it has stopped (a crash) and wait while it is paused (a stalled process).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

EPOCH_MS = 1_700_000_000_000
"""What the wall clock of a node without an offset shows when the simulation begins."""


class RunawaySimulation(Exception):
    """The nodes kept each other busy without end: a livelock."""


class Timer:
    """A callback that is due at some simulated moment."""

    __slots__ = ("args", "callback", "owner")

    def __init__(
        self, owner: NodeRuntime | None, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.owner = owner
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None


class Scheduler:
    """The simulated time, and all that is still to happen."""

    def __init__(self, events_max: int) -> None:
        """`events_max`: after so many events nobody will get anywhere any more."""
        self.now = 0.0
        self.events = 0
        self._events_max = events_max
        self._heap: list[tuple[float, int, Timer]] = []
        self._sequence = 0

    def after(
        self, delay_s: float, owner: NodeRuntime | None, callback: Callable[..., object], *args: Any
    ) -> Timer:
        """Run `callback` in `delay_s` seconds, if `owner` (None: the world) lives then."""
        return self.at(self.now + delay_s, owner, callback, *args)

    def at(
        self, time: float, owner: NodeRuntime | None, callback: Callable[..., object], *args: Any
    ) -> Timer:
        timer = Timer(owner, callback, args)
        self._push(time, timer)
        return timer

    def run_for(self, duration_s: float) -> None:
        """Run everything due within `duration_s`; time then stands at its end."""
        until = self.now + duration_s
        self.run_while(lambda: bool(self._heap) and self._heap[0][0] <= until)
        self.now = until

    def run_while(self, condition: Callable[[], bool]) -> None:
        """Run one event after another as long as `condition` holds and any is left."""
        heap = self._heap
        while heap and condition():
            time, _, timer = heappop(heap)
            callback = timer.callback
            if callback is None:
                continue
            owner = timer.owner
            if owner is not None:
                if owner.stopped:
                    continue
                if owner.paused_until > time:
                    self._push(owner.paused_until, timer)
                    continue
            self.now = time
            self.events += 1
            if self.events > self._events_max:
                raise RunawaySimulation(f"more than {self._events_max} events by {time:.3f} s")
            callback(*timer.args)

    def _push(self, time: float, timer: Timer) -> None:
        self._sequence += 1
        heappush(self._heap, (time, self._sequence, timer))


@dataclass(eq=False)
class NodeRuntime:
    """The `Runtime` of one node from one start to the next stop."""

    _scheduler: Scheduler
    rng: random.Random
    clock_offset_ms: int
    paused_until: float = field(default=0.0, init=False)
    paused_s: float = field(default=0.0, init=False)
    stopped: bool = field(default=False, init=False)

    def pause(self, duration_s: float) -> None:
        """Stand still from now on; what falls due meanwhile runs at the end, in order."""
        since = max(self.paused_until, self._scheduler.now)
        self.paused_until = max(self.paused_until, self._scheduler.now + duration_s)
        self.paused_s += self.paused_until - since

    def ran_s(self) -> float:
        """For how long this node has run or will have run when it next wakes up."""
        return max(self.paused_until, self._scheduler.now) - self.paused_s

    def now(self) -> float:
        return self._scheduler.now

    def wall_ms(self) -> int:
        return EPOCH_MS + self.clock_offset_ms + int(self._scheduler.now * 1000)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._scheduler.after(0.0, self, callback, *args)

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Timer:
        return self._scheduler.after(delay_s, self, callback, *args)
