"""The pace of background work, by what the foreground feels."""

from __future__ import annotations

from kvorum.replication.pace import PAUSE_S_MAX, Pace


def busy(pace: Pace, latency_ms: float, portions: int) -> list[float]:
    """`portions` of background work, with clients' operations in between."""
    pauses = []
    for _ in range(portions):
        for _ in range(20):
            pace.sample(latency_ms)
        pauses.append(pace.pause_s())
    return pauses


def test_nobody_is_disturbed_when_nobody_asks() -> None:
    pace = Pace()
    busy(pace, 3.0, 50)
    busy(pace, 200.0, 20)
    for _ in range(100):
        pause_s = pace.pause_s()
    assert pause_s == 0.0


def test_it_slows_down_when_operations_become_slower_and_recovers() -> None:
    pace = Pace()
    calm = busy(pace, 3.0, 300)
    assert calm[-1] == 0.0
    slowed = busy(pace, 60.0, 60)
    assert slowed[-1] == PAUSE_S_MAX
    recovered = busy(pace, 3.0, 300)
    assert recovered[-1] == 0.0


def test_a_cluster_that_is_slower_for_good_is_its_own_measure() -> None:
    pace = Pace()
    busy(pace, 3.0, 300)
    assert busy(pace, 12.0, 3000)[-1] == 0.0
