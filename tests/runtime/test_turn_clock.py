"""TurnClock: the time, read once a turn."""

from __future__ import annotations

from collections.abc import Callable

from kvorum.runtime.turn_clock import TurnClock


def test_the_time_is_read_once_a_turn() -> None:
    times = iter([5.0, 7.0])
    soon: list[Callable[[], None]] = []
    clock = TurnClock(soon.append, lambda: next(times))
    assert clock.now or clock.read() == 5.0
    assert (clock.now, len(soon)) == (5.0, 1)
    soon.pop()()
    assert clock.now == 0.0
    assert clock.read() == 7.0
