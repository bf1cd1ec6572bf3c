"""When a node dials: one attempt at a time, and pauses that grow."""

from __future__ import annotations

from kit.runtime import Pump

from kvorum.links.reconnect import DialLimits, Reconnect

LIMITS = DialLimits(pause_min_s=1.0, pause_max_s=4.0)


class Dialed:
    def __init__(self) -> None:
        self.runtime = Pump()
        self.at: list[float] = []
        self.reconnect = Reconnect(self.runtime, self._dial, LIMITS)

    def _dial(self) -> None:
        self.at.append(self.runtime.time)


def test_pauses_double_up_to_their_limit_and_are_forgotten_on_demand() -> None:
    dialed = Dialed()
    waited = []
    for failures in range(6):
        if failures == 5:
            dialed.reconnect.forget_failures()
        since = dialed.runtime.time
        dialed.reconnect.later()
        dialed.reconnect.later()
        dialed.runtime.pass_time(4.0)
        waited.append(dialed.at[-1] - since)
        dialed.reconnect.ended()
    assert len(dialed.at) == 6
    for pause, waited_s in zip([1, 2, 4, 4, 4, 1], waited, strict=True):
        assert pause / 2 <= waited_s <= pause


def test_one_attempt_at_a_time() -> None:
    dialed = Dialed()
    dialed.reconnect.now()
    dialed.reconnect.now()
    dialed.reconnect.later()
    dialed.runtime.pass_time(10.0)
    assert dialed.at == [0.0]
    dialed.reconnect.ended()
    dialed.reconnect.later()
    dialed.reconnect.now()
    dialed.runtime.pass_time(10.0)
    assert len(dialed.at) == 2


def test_a_planned_attempt_can_be_given_up() -> None:
    dialed = Dialed()
    dialed.reconnect.later()
    dialed.reconnect.rest()
    dialed.runtime.pass_time(10.0)
    assert dialed.at == []
    dialed.reconnect.now()
    assert dialed.at == [10.0]
