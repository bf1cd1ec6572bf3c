"""The life of one member as another sees it: down, and how it comes back."""

from __future__ import annotations

import pytest

from kvorum.cluster.member import Member
from kvorum.cluster.settings import MembershipSettings

SETTINGS = MembershipSettings(
    interval_s=1.0, down_after_s=3.0, flap_window_s=300.0, flap_hold_s=2.0, flap_hold_max_s=16.0
)


def suspected(at: float = 0.0) -> Member:
    member = Member(1, SETTINGS, 0.0)
    member.lived((7, 1), 0, at)
    member.suspect(at)
    return member


def seconds_until_up(member: Member, start: float) -> float:
    """Speaking twice a second, as a node that is back does."""
    now = start
    while not member.spoke(now):
        now += 0.5
    return now - start


def test_a_member_that_is_back_before_anybody_missed_it_is_up_since_then() -> None:
    member = Member(1, SETTINGS, 0.0)
    member.lived((1, 1), 0, 1.0)
    assert member.since == 0.0  # It had been started before it was first heard of.
    member.lived((1, 2), 0, 2.0)
    assert member.since == 0.0
    member.lived((2, 1), 0, 3.0)
    assert (member.state, member.since) == ("up", 3.0)


def test_a_suspect_that_stays_silent_is_down() -> None:
    member = suspected()
    member.age(2.9)
    before = member.state
    member.age(3.0)
    assert (before, member.state) == ("suspect", "down")
    assert not member.is_available


def test_a_suspect_that_speaks_is_up_at_once_and_was_suspected_wrongly() -> None:
    member = suspected()
    assert member.spoke(1.0)
    assert (member.state, member.since, member.refutations) == ("up", 1.0, 1)


def test_a_member_that_was_down_was_not_suspected_wrongly() -> None:
    member = suspected()
    member.age(5.0)
    assert member.spoke(6.0)
    assert (member.suspicions, member.refutations) == (1, 0)


def test_one_heartbeat_from_hearsay_may_be_older_than_the_death() -> None:
    member = suspected()
    assert not member.lived((7, 2), 0, 0.5)
    assert not member.lived((7, 3), 0, 1.2)
    assert member.lived((7, 4), 0, 1.5)


def test_each_outage_doubles_the_time_to_be_heard_up_to_a_bound() -> None:
    member, now, holds = suspected(), 0.0, []
    for _ in range(7):
        holds.append(seconds_until_up(member, now))
        now += holds[-1] + 1
        member.suspect(now)
    assert holds == [0, 2, 4, 8, 16, 16, 16]


def test_outages_are_forgotten() -> None:
    member = suspected()
    for now in (10.0, 20.0, 30.0):
        seconds_until_up(member, now - 5)
        member.suspect(now)
    assert member.hold_s(31.0) == 8.0
    assert member.hold_s(30.0 + SETTINGS.flap_window_s) == 0.0


def test_a_return_that_falls_silent_begins_anew_and_ends_in_down() -> None:
    member = suspected()
    seconds_until_up(member, 0.5)
    member.suspect(1.0)
    assert not member.spoke(2.0)
    member.age(9.0)
    member.age(9.0)
    assert member.state == "down"
    assert not member.spoke(10.0)
    assert member.spoke(12.0)


@pytest.mark.parametrize("hold_before", [0, 5])
def test_a_new_life_is_heard_like_any_other(hold_before: int) -> None:
    member = suspected()
    for outage in range(hold_before):
        seconds_until_up(member, 20.0 * outage)
        member.suspect(20.0 * outage + 19)
    start = 20.0 * hold_before
    assert not member.lived((9, 1), 0, start)
    assert member.life == (9, 1)
    assert member.lived((9, 2), 0, start + max(member.hold_s(start), SETTINGS.interval_s))
