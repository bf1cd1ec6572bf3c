"""Deadlines, on a clock that moves only when the test says so."""

from __future__ import annotations

import contextlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kvorum.runtime.deadlines import Deadlines, rounded


class HandClock:
    """A Runtime whose time is turned by hand; it counts the timers that were armed."""

    def __init__(self) -> None:
        self.rng = random.Random(0)
        self.time = 0.0
        self.armed = 0
        self._timers: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()

    def now(self) -> float:
        return self.time

    def wall_ms(self) -> int:
        return int(self.time * 1000)

    def call_soon(self, callback: Callable[..., object], *args: Any) -> None:
        self.call_later(0, callback, *args)

    def call_later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> HandClock:
        self.armed += 1
        heapq.heappush(self._timers, (self.time + delay_s, next(self._order), callback, args))
        return self

    def cancel(self) -> None:
        raise NotImplementedError

    def turn_to(self, time: float) -> None:
        while self._timers and self._timers[0][0] <= time:
            self.time, _, callback, args = heapq.heappop(self._timers)
            callback(*args)
        self.time = time


@dataclass
class Item:
    name: int = 0
    ended: bool = False
    expired_at: list[float] = field(default_factory=list)


def deadlines(clock: HandClock) -> Deadlines[Item]:
    def expire(item: Item) -> None:
        item.expired_at.append(clock.time)
        item.ended = True

    return Deadlines(clock, expire)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5000), st.booleans()), max_size=40))
def test_each_item_expires_once_at_its_deadline_unless_it_ended(
    plan: list[tuple[float, int, bool]],
) -> None:
    clock = HandClock()
    watched = deadlines(clock)
    items = []
    for start, timeout_ms, ends in sorted(plan):
        clock.turn_to(max(start, clock.time))
        item = Item()
        watched.watch(item, timeout_ms)
        items.append((item, start, rounded(timeout_ms), ends))
        item.ended = ends
    clock.turn_to(100.0)
    for item, start, timeout_ms, ends in items:
        if ends:
            assert item.expired_at == []
        else:
            (at,) = item.expired_at
            assert at >= start + timeout_ms / 1000 - 1e-9
            assert at <= start + timeout_ms / 1000 + 1e-6


def test_a_thousand_operations_arm_one_timer() -> None:
    clock = HandClock()
    watched = deadlines(clock)
    for _ in range(1000):
        watched.watch(Item(), 2000)
    assert clock.armed == 1


def test_a_callback_that_fails_does_not_end_the_deadlines_of_others() -> None:
    clock = HandClock()
    expired: list[Item] = []

    def expire(item: Item) -> None:
        item.ended = True
        expired.append(item)
        if item.name == 0:
            raise OSError("a failing callback")

    watched = Deadlines(clock, expire)
    for name in range(3):
        clock.turn_to(name / 10)
        watched.watch(Item(name), 500)
    for _ in range(2):
        with contextlib.suppress(OSError):
            clock.turn_to(5.0)
    assert [item.name for item in expired] == [0, 1, 2]


def test_cleared_items_do_not_expire() -> None:
    clock = HandClock()
    watched = deadlines(clock)
    item = Item()
    watched.watch(item, 500)
    watched.clear()
    clock.turn_to(5.0)
    assert item.expired_at == []


@given(st.integers(1, 10**7))
def test_rounding_keeps_three_digits_and_never_extends(timeout_ms: int) -> None:
    short = rounded(timeout_ms)
    assert 0.99 * timeout_ms <= short <= timeout_ms
    assert str(short).rstrip("0") == str(short)[:3].rstrip("0")
