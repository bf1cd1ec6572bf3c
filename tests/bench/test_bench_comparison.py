from __future__ import annotations

import json
from typing import Any

import pytest
from comparison import Comparison, Turn
from wrk import add, shares


def turn_of(requests: int, latency_us: int = 1000, **errors: int) -> Turn:
    turn = Turn()
    add(turn, result_of(requests, latency_us, **errors))
    return turn


def result_of(requests: int, latency_us: int = 1000, **errors: int) -> dict[str, Any]:
    """What load.lua tells of one second."""
    return {
        "duration_us": 1_000_000,
        "requests": requests,
        "errors": {"status": 0, "timeout": 0, **errors},
        "latency_us": [[latency_us, requests]],
    }


def compared() -> Comparison:
    comparison = Comparison()
    for factor in (1, 2):
        comparison.add("etcd", "all members", "put", turn_of(100 * factor, 4000))
        comparison.add("etcd", "leader", "put", turn_of(50 * factor, 9000))
        comparison.add("kvorum", "all nodes", "put", turn_of(300, 2000))
    return comparison


def test_processes_add_up() -> None:
    turn = Turn()
    add(turn, result_of(90, 1000))
    add(turn, result_of(10, 5000, timeout=2))
    assert turn.requests == turn.per_second == 100
    assert turn.errors == {"timeout": 2}
    assert turn.latencies.quantiles([0.9, 1.0]) == [pytest.approx(1e6, rel=0.01), 5_000_000]


def test_connections_are_shared_as_equally_as_can_be() -> None:
    assert shares(64, 3) == [22, 21, 21]


def test_ratios_are_to_the_better_way_of_etcd() -> None:
    (ratio,) = compared().ratios()
    assert ratio.targets == "all nodes / all members"
    assert ratio.per_second == 300 / 150
    assert (ratio.lower, ratio.upper) == (1.875, 2.625)
    assert ratio.p99 == pytest.approx(0.5, rel=0.02)


def test_one_system_alone_has_no_ratios() -> None:
    comparison = Comparison()
    comparison.add("etcd", "leader", "get", turn_of(100))
    assert comparison.ratios() == []
    assert "| etcd | leader | get | 100 | 1.00 | 1.00 |" in comparison.table()


def test_the_table_is_markdown_with_a_line_for_each_series_and_ratio() -> None:
    lines = compared().table().splitlines()
    assert len(lines) == 2 + 3 + 1
    assert len({line.count("|") for line in lines}) == 1
    assert "| 2.00x (1.88 to 2.62) |" in lines[-1]


def test_errors_are_counted_and_told() -> None:
    comparison = compared()
    comparison.add("kvorum", "all nodes", "get", turn_of(100, status=7))
    assert comparison.errors == 7
    series = json.loads(json.dumps(comparison.document()))["series"]
    assert series[-1]["errors"] == [{"status": 7}]
