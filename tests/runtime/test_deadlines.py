"""Deadlines, on a clock that moves only when the test says so."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from kit.runtime import Pump

from kvorum.runtime.deadlines import Deadlines, rounded


@dataclass
class Item:
    name: int = 0
    ended: bool = False
    expired_at: list[float] = field(default_factory=list)


def deadlines(clock: Pump) -> Deadlines[Item]:
    def expire(item: Item) -> None:
        item.expired_at.append(clock.time)
        item.ended = True

    return Deadlines(clock, expire)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 5000), st.booleans()), max_size=40))
def test_each_item_expires_once_at_its_deadline_unless_it_ended(
    plan: list[tuple[float, int, bool]],
) -> None:
    clock = Pump()
    watched = deadlines(clock)
    items = []
    for start, timeout_ms, ends in sorted(plan):
        clock.pass_time(max(start, clock.time) - clock.time)
        item = Item()
        watched.watch(item, timeout_ms)
        items.append((item, start, rounded(timeout_ms), ends))
        item.ended = ends
    clock.pass_time(100.0 - clock.time)
    for item, start, timeout_ms, ends in items:
        if ends:
            assert item.expired_at == []
        else:
            (at,) = item.expired_at
            assert at >= start + timeout_ms / 1000 - 1e-9
            assert at <= start + timeout_ms / 1000 + 1e-6


def test_a_thousand_operations_arm_one_timer() -> None:
    clock = Pump()
    watched = deadlines(clock)
    for _ in range(1000):
        watched.watch(Item(), 2000)
    assert len(clock.timers) == 1


def test_a_callback_that_fails_does_not_end_the_deadlines_of_others() -> None:
    clock = Pump()
    expired: list[Item] = []

    def expire(item: Item) -> None:
        item.ended = True
        expired.append(item)
        if item.name == 0:
            raise OSError("a failing callback")

    watched = Deadlines(clock, expire)
    for name in range(3):
        clock.pass_time(name / 10 - clock.time)
        watched.watch(Item(name), 500)
    for _ in range(2):
        with contextlib.suppress(OSError):
            clock.pass_time(5.0 - clock.time)
    assert [item.name for item in expired] == [0, 1, 2]


def test_cleared_items_do_not_expire() -> None:
    clock = Pump()
    watched = deadlines(clock)
    item = Item()
    watched.watch(item, 500)
    watched.clear()
    clock.pass_time(5.0 - clock.time)
    assert item.expired_at == []


@given(st.integers(1, 10**7))
def test_rounding_keeps_three_digits_and_never_extends(timeout_ms: int) -> None:
    short = rounded(timeout_ms)
    assert 0.99 * timeout_ms <= short <= timeout_ms
    assert str(short).rstrip("0") == str(short)[:3].rstrip("0")
