"""A replicator that has been stopped leaves its store alone."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.placement_rule import PlacementRule
from kvorum.model.request import Get, Put
from kvorum.model.topology import NamespaceSettings


def test_after_stop_nothing_touches_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(3, NamespaceSettings(replicas=3, read=2, write=2, timeout_ms=1000))
    owner = stage.placement.owners(0, PlacementRule(3))[0]
    away = next(node for node in range(3) if node != owner)
    stage.kill(away)
    for i in range(100):
        stage.ask(owner, Put("default", f"k{i}", 1, b"1"))
    stage.settle()
    stage.restart(away)  # hints are about to be replayed
    stage.holds |= {(owner, other) for other in range(3)}
    stage.ask(owner, Put("default", "late", 1, b"1"))
    stage.ask(owner, Get("default", "late"))
    for _ in range(20):
        stage.step()
    replicator = stage.nodes[owner]
    assert replicator is not None
    assert replicator.under_way
    assert replicator.hints_owed(away)
    replicator.stop()
    stage.nodes[owner] = None

    def closed(*_: object) -> None:
        raise AssertionError("the store is closed")

    for method in ("get", "put", "delete", "scan"):
        monkeypatch.setattr(stage.disks[owner], method, closed)
    stage.wait(10)
    assert replicator.under_way == 0
