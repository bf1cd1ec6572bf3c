"""The pace of background work, by what the foreground feels."""

from __future__ import annotations

from kit.runtime import Pump

from kvorum.operations.pace import RATE_MAX, RATE_MIN, Pace


class Day:
    """A pace, clients that are asking, and work that never ends."""

    def __init__(self) -> None:
        self.clock = Pump()
        self.pace = Pace(self.clock)

    def work(self, seconds: float, latency_ms: float | None) -> int:
        """How many records are worked off. Without a latency there are no clients."""
        until, records = self.clock.time + seconds, 0
        while self.clock.time < until:
            if latency_ms is not None:
                for _ in range(10):
                    self.pace.sample(latency_ms)
            records += 16
            self.clock.time += max(self.pace.pause_s(16), 0.001)
        return records


def test_nobody_is_disturbed_when_nobody_asks() -> None:
    day = Day()
    day.work(20, 200.0)
    day.work(1, None)
    assert day.pace.pause_s(1000) == 0.0


def test_it_slows_down_when_operations_become_slower_and_recovers() -> None:
    day = Day()
    day.work(60, 3.0)
    assert day.pace.rate == RATE_MAX
    slow = day.work(20, 60.0)
    assert day.pace.rate == RATE_MIN
    day.work(60, 3.0)
    assert day.pace.rate == RATE_MAX
    assert slow < day.work(20, 3.0) / 10


def test_it_never_stops() -> None:
    day = Day()
    day.work(60, 3.0)
    day.work(10, 60.0)
    assert day.work(20, 90.0) >= RATE_MIN * 20 * 0.9


def test_all_background_work_shares_one_lane() -> None:
    day = Day()
    day.work(60, 3.0)
    pauses = [day.pace.pause_s(100) for _ in range(4)]
    assert pauses == sorted(pauses)
    assert pauses[-1] > 3.9 * 100 / RATE_MAX


def test_a_cluster_that_is_slower_for_good_is_its_own_measure() -> None:
    day = Day()
    day.work(60, 3.0)
    day.work(300, 12.0)
    assert day.pace.rate == RATE_MAX
