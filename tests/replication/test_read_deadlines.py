"""A read that its replicas leave without an answer ends when its own timeout says so."""

from __future__ import annotations

import pytest
from kit.stage import Stage

from kvorum.model.request import Failure, Get
from kvorum.model.topology import NamespaceSettings


@pytest.mark.parametrize("timeout_ms", [2, 10, 20, 25, 100, 1000, 2000, 12_000])
def test_it_ends_at_its_deadline_and_not_before(timeout_ms: int) -> None:
    """Also where that is sooner than a replica would be called slow."""
    stage = Stage(3, NamespaceSettings(replicas=3, read=2, write=2))
    stage.settle()
    stage.holds.update({(0, 1), (0, 2)})
    answers = stage.ask(0, Get("default", "k", timeout_ms=timeout_ms))
    stage.wait(timeout_ms / 1000 * 0.98)
    assert answers == []
    stage.wait(timeout_ms / 1000 * 0.03 + 0.001)
    (answer,) = answers
    assert isinstance(answer, Failure)
    assert answer.code == "timeout"
