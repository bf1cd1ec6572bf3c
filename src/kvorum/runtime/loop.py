"""The real world behind the `Runtime` port: an event loop, the clocks, and the system's entropy."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from kvorum.runtime.faults import on_loop_fault
from kvorum.runtime.ports import Cancellable

T = TypeVar("T")

_TIMER_SLACK_S: Final = 0.0015
"""uvloop rounds a delay to whole milliseconds and counts them on a clock that is cut to
milliseconds, so its timers may come up to 1.5 ms early; the port promises never early."""


class LoopRuntime:
    """`Runtime` on the event loop `loop`."""

    __slots__ = ("call_soon", "loop", "now", "rng")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.rng = random.Random(os.urandom(32))
        self.now: Callable[[], float] = time.monotonic
        self.call_soon: Callable[..., Any] = loop.call_soon

    def wall_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def call_later(
        self, delay_s: float, callback: Callable[..., object], *args: Any
    ) -> Cancellable:
        return self.loop.call_later(delay_s + _TIMER_SLACK_S, callback, *args)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop, or asyncio's on a platform that uvloop is not built for."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new event loop and return what it returns."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.get_loop().set_exception_handler(on_loop_fault)
        return runner.run(main)
