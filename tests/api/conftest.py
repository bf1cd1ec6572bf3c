"""A server with a fake node behind it, on a real event loop and real sockets.

Tests are coroutines that take `web`; they run on its loop. What concerns sockets is tried on
both kinds of loop (`pytestmark = both_loops`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop
from kit.web import Web

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


@pytest.fixture
def web(request: pytest.FixtureRequest) -> Iterator[Web]:
    factory = LOOPS[getattr(request, "param", "uvloop")]
    with asyncio.Runner(loop_factory=factory) as runner:
        web = Web(runner)
        yield web
        web.run(web.close())


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> object:
    """Run a coroutine test on the loop of its `web`."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in names}
    arguments["web"].run(pyfuncitem.obj(**arguments))
    return True
