from __future__ import annotations

import pickle

from kvorum.bench.measurement import Measurement


def measured(kind: str, latencies: list[int], errors: int, elapsed_s: float) -> Measurement:
    measurement = Measurement()
    for latency in latencies:
        measurement.succeeded(kind, latency)
    for _ in range(errors):
        measurement.failed(kind, "timeout")
    measurement.elapsed_s = elapsed_s
    return measurement


def test_merge_adds_what_happened_at_the_same_time() -> None:
    whole = measured("read", [10, 20], 1, 2.0)
    whole.merge(measured("read", [30], 2, 4.0))
    whole.merge(measured("update", [40], 0, 3.0))
    assert whole.latencies["read"].count == 3
    assert whole.latencies["update"].count == 1
    assert whole.errors == {("read", "timeout"): 3}
    assert whole.per_second == 1.0
    assert whole.error_share == 3 / 7


def test_nothing_measured_is_no_division_by_zero() -> None:
    assert Measurement().per_second == 0
    assert Measurement().error_share == 0


def test_it_crosses_processes() -> None:
    there = pickle.loads(pickle.dumps(measured("read", [10], 1, 2.0)))
    assert there.latencies["read"].quantiles([0.5]) == [10]
    assert there.errors == {("read", "timeout"): 1}
