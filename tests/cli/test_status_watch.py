"""`kvorum status --watch`: rates are differences of the nodes' own counters."""

from __future__ import annotations

from typing import Any

import msgspec

from kvorum.cli.inspection.status_watch import SILENT, Watcher
from kvorum.documents.status import Status


def told(uptime_s: float, **counters: int) -> Status:
    document: dict[str, Any] = {
        "cluster": "shop",
        "epoch": 1,
        "node": "n1",
        "version": "0.1.0",
        "uptime_s": uptime_s,
        "nodes": [],
        "namespaces": {},
        "counters": counters,
        "connections": {"open": 2, "max": 10, "responses": counters.get("reads", 0) * 2},
    }
    return msgspec.convert(document, Status)


def test_rates_are_differences_per_second() -> None:
    clock = iter([10.0, 12.0])
    watcher = Watcher(lambda: next(clock))
    (first,) = watcher.look({"n1": told(5.0, reads=100, writes=10)}).nodes
    assert first.reads_per_s is None, "there is nothing to compare with"
    (second,) = watcher.look({"n1": told(7.0, reads=150, writes=10, repairs=4)}).nodes
    assert (second.reads_per_s, second.writes_per_s) == (25.0, 0.0)
    assert (second.requests_per_s, second.repairs_per_s) == (50.0, 2.0)


def test_a_node_that_was_started_again_has_no_rates_at_first() -> None:
    clock = iter([10.0, 12.0, 14.0])
    watcher = Watcher(lambda: next(clock))
    watcher.look({"n1": told(500.0, reads=100)})
    (restarted,) = watcher.look({"n1": told(1.0, reads=3)}).nodes
    assert restarted.reads_per_s is None
    (later,) = watcher.look({"n1": told(3.0, reads=5)}).nodes
    assert later.reads_per_s == 1.0


def test_a_silent_node_is_shown_as_such() -> None:
    clock = iter([10.0, 12.0, 14.0])
    watcher = Watcher(lambda: next(clock))
    watcher.look({"n1": told(1.0, reads=3)})
    (silent,) = watcher.look({"n1": None}).nodes
    assert (silent.state, silent.reads_per_s, silent.connections) == (SILENT, None, None)
    (back,) = watcher.look({"n1": told(5.0, reads=7)}).nodes
    assert back.reads_per_s is None, "nobody has seen it meanwhile"
