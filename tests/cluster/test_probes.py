"""A probe: ping, then ask for help, then give up; whatever shows life settles it."""

from __future__ import annotations

import random

from kvorum.cluster.probes import Probes, Send
from kvorum.cluster.settings import MembershipSettings
from kvorum.wire.messages import Ping, PingRequest

SETTINGS = MembershipSettings(ping_timeout_s=1.0, helpers=3, help_timeout_s=2.0)
LOCAL, TARGET = 0, 4
OTHERS = [1, 2, 3, 4, 5, 6]


def probes() -> tuple[Probes, int]:
    """Probes with one begun at time 0, and its number."""
    begun = Probes(LOCAL, SETTINGS, random.Random(1))
    [(node, ping)] = begun.begin(TARGET, 0.0)
    assert isinstance(ping, Ping)
    assert (node, ping.asker) == (TARGET, LOCAL)
    return begun, ping.number


def step(of: Probes, now: float) -> list[Send]:
    return of.step(now, lambda: OTHERS)


def test_first_a_ping_then_three_others_are_asked_then_it_has_failed() -> None:
    begun, number = probes()
    assert step(begun, 0.9) == []
    again, *requests = step(begun, 1.0)
    assert again == (TARGET, Ping(number, LOCAL))
    assert [request.message for request in requests] == [PingRequest(number, TARGET)] * 3
    helpers = {request.node for request in requests}
    assert len(helpers) == 3
    assert not helpers & {LOCAL, TARGET}
    assert step(begun, 2.9) == []
    assert not begun.failed(TARGET)
    assert step(begun, 3.0) == []
    assert begun.failed(TARGET)


def test_a_target_is_probed_once_at_a_time() -> None:
    begun, _ = probes()
    assert begun.begin(TARGET, 0.5) == []
    begun.settle(TARGET)
    assert begun.begin(TARGET, 0.5) != []
    assert begun.begun == 2


def test_a_sign_of_life_settles_a_probe_even_if_it_has_failed() -> None:
    begun, _ = probes()
    step(begun, 1.0)
    step(begun, 3.0)
    begun.settle(TARGET)
    assert not begun.failed(TARGET)
    assert step(begun, 9.0) == []


def test_only_those_who_were_asked_can_report_and_only_this_probe() -> None:
    begun, number = probes()
    assert begun.report(1, number) is None
    asked = {send.node for send in step(begun, 1.0)[1:]}
    for helper in OTHERS:
        assert begun.report(helper, number) == (TARGET if helper in asked else None)
        assert begun.report(helper, number + 1) is None


def test_with_nobody_to_ask_the_target_is_pinged_again() -> None:
    begun, number = probes()
    assert begun.step(1.0, lambda: [TARGET]) == [(TARGET, Ping(number, LOCAL))]
    begun.step(3.0, lambda: [TARGET])
    assert begun.failed(TARGET)


def test_numbers_of_two_lives_differ() -> None:
    first = Probes(LOCAL, SETTINGS, random.Random(1)).begin(TARGET, 0.0)
    second = Probes(LOCAL, SETTINGS, random.Random(2)).begin(TARGET, 0.0)
    assert first != second
