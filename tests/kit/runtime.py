"""A runtime that a test turns by hand: what was asked to run later runs in `turn`."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from kvorum.runtime.ports import Cancellable

DEADLINE_S = 20.0


class Timer:
    """Goes off when the test says so."""

    def __init__(
        self, delay_s: float, callback: Callable[..., object], args: tuple[Any, ...]
    ) -> None:
        self.delay_s = delay_s
        self._callback = callback
        self._args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True

    def go_off(self) -> None:
        assert not self.cancelled
        self._callback(*self._args)


class Pump:
    def __init__(self) -> None:
        self.rng = random.Random(1)
        self.time = 0.0
        self.timers: list[Timer] = []
        self._soon: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._from_threads: SimpleQueue[Callable[[], object]] = SimpleQueue()

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        raise AssertionError("a store needs no clock")

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self._soon.append((callback, args))

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> Cancellable:
        timer = Timer(delay_s, callback, args)
        self.timers.append(timer)
        return timer

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        self._from_threads.put(callback)

    def turn(self) -> int:
        """Run what was asked for before this turn; returns how many callbacks that were."""
        ready = len(self._soon)
        for _ in range(ready):
            callback, args = self._soon.popleft()
            callback(*args)
        return ready

    def drain(self) -> None:
        """Turn until nothing is left to run on this thread."""
        while self.turn():
            pass

    def run_until(self, condition: Callable[[], bool]) -> None:
        """Turn, and take what threads hand over, until `condition` holds."""
        while not condition():
            if not self.turn():
                self._from_threads.get(timeout=DEADLINE_S)()


class Answers:
    """What the `done` of each write was given, in order of the calls."""

    def __init__(self) -> None:
        self.args: list[Any] = []
        self.errors: list[Exception | None] = []

    def done(self, arg: Any, error: Exception | None) -> None:
        self.args.append(arg)
        self.errors.append(error)
