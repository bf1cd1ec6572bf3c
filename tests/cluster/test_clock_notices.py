"""What is logged of clocks that differ, and how often."""

from __future__ import annotations

import pytest

from kvorum.cluster.clock_notices import ClockNotices, apart, difference


def test_up_to_two_seconds_are_not_spoken_of() -> None:
    assert apart({1: 2000, 2: -2000, 3: 2001, 4: -2001}) == {3: 2001, 4: -2001}


@pytest.mark.parametrize(
    ("ahead_ms", "words"),
    [
        (2500, "2.5 s ahead of"),
        (-119_000, "119.0 s behind"),
        (180_000, "3.0 minutes ahead of"),
        (-7_200_000, "2.0 hours behind"),
        (172_800_000, "2.0 days ahead of"),
    ],
)
def test_a_difference_is_told_in_a_unit_that_fits(ahead_ms: int, words: str) -> None:
    assert difference(ahead_ms) == words


def test_it_is_said_once_again_after_ten_minutes_and_when_it_is_over() -> None:
    notices = ClockNotices()
    (line,) = notices.lines({"n2": 5000}, "trusted", 0.0)
    assert "n2" in line
    assert "5.0 s ahead of" in line
    assert notices.lines({"n2": 5100}, "trusted", 599.0) == []
    assert len(notices.lines({"n2": 5200}, "trusted", 600.0)) == 1
    (over,) = notices.lines({}, "trusted", 601.0)
    assert "n2" in over
    assert notices.lines({}, "trusted", 602.0) == []


def test_a_node_says_what_it_makes_of_its_own_clock() -> None:
    notices = ClockNotices()
    (line,) = notices.lines({}, "disputed", 0.0)
    assert "kvorum clock accept" in line
    assert notices.lines({}, "wrong", 1.0) == []
    assert len(notices.lines({}, "accepted", 2.0)) == 1
