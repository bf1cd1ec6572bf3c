"""Runs each scenario on both event loops; whatever a loop reports as unhandled fails it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kit.network import Play, Scenario

from kvorum.runtime.loop import new_loop

LOOPS = {"fastest": new_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def unhandled() -> list[dict[str, Any]]:
    """What the loop's exception handler was told. A test that expects something empties it."""
    return []


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest, unhandled: list[dict[str, Any]]) -> Play:
    def run(scenario: Scenario) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            loop = runner.get_loop()
            loop.set_exception_handler(lambda _loop, context: unhandled.append(context))
            runner.run(scenario())
        assert unhandled == []

    return run
