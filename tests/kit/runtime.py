"""A `Runtime` that a test turns by hand: its turns are taken, and its time passes, when told so."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import SimpleQueue
from typing import Any

from kvorum.storage.store import Done, FlushTarget

DEADLINE_S = 20.0


class Timer:
    """Goes off when its time has passed, or when the test says so."""

    def __init__(self, delay_s: float, callback: Callable[[], object]) -> None:
        self.delay_s = delay_s
        self.cancelled = False
        self._callback = callback

    def cancel(self) -> None:
        self.cancelled = True

    def go_off(self) -> None:
        assert not self.cancelled
        self._callback()


class Pump:
    """`soon` is what waits for the next turn; `timers` all that were ever asked for, in order."""

    def __init__(self, seed: int = 1, wall_from_ms: int = 0) -> None:
        self.rng = random.Random(seed)
        self.time = 0.0
        self.timers: list[Timer] = []
        self.soon: deque[Callable[[], object]] = deque()
        self._wall_from_ms = wall_from_ms
        self._waiting: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._from_threads: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        return self._wall_from_ms + int(self.time * 1000)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.soon.append(partial(callback, *args))

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = Timer(delay_s, partial(callback, *args))
        self.timers.append(timer)
        heappush(self._waiting, (self.time + delay_s, next(self._order), timer))
        return timer

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        self._from_threads.put(callback)

    def turn(self) -> int:
        """Run what was asked for before this turn; returns how many callbacks that were."""
        ready = len(self.soon)
        for _ in range(ready):
            self.soon.popleft()()
        return ready

    def drain(self) -> None:
        """Turn until nothing is left to run on this thread."""
        while self.turn():
            pass

    def due(self, until: float) -> Timer | None:
        """The next timer that goes off by `until`, which it is then; None, and it is `until`."""
        while self._waiting and self._waiting[0][0] <= until:
            self.time, _, timer = heappop(self._waiting)
            if not timer.cancelled:
                return timer
        self.time = until
        return None

    def pass_time(self, duration_s: float) -> None:
        """Have all timers go off that are due within this time, and all run that follows."""
        until = self.time + duration_s
        while (timer := self.due(until)) is not None:
            timer.go_off()
            self.drain()

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Turn, and take what threads hand over, until `condition` holds."""
        while not condition():
            if not self.turn():
                self._from_threads.get(timeout=DEADLINE_S)()


def put(store: FlushTarget, key: bytes, value: bytes | None, done: Done, arg: Any) -> None:
    """Write a pair, and wait for it alone."""
    store.write(key, value)
    store.sync(done, arg)


class Answers:
    """What the `done` of each write was given, in order of the calls."""

    def __init__(self) -> None:
        self.args: list[Any] = []
        self.errors: list[Exception | None] = []

    def done(self, arg: Any, error: Exception | None) -> None:
        self.args.append(arg)
        self.errors.append(error)
