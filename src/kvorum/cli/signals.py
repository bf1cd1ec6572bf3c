"""Stopping when asked: SIGINT (Ctrl-C), SIGTERM, and SIGHUP (the terminal went away).

The first signal asks for a clean stop, a second one does not wait for it. A signal that was
ignored when the process started (nohup) stays ignored. Whoever has a file to read again does that
for SIGHUP instead, as servers do, and goes on.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_T = TypeVar("_T")


@contextmanager
def stop_signals(
    again: Callable[[], object], hang_up: Callable[[], object] | None = None
) -> Iterator[asyncio.Event]:
    """An event that the first signal sets; each further one calls `again`. With `hang_up`, SIGHUP
    calls that instead."""
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()

    def on_signal() -> None:
        if asked.is_set():
            again()
        asked.set()

    heeded = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, on_signal)
    if hang_up is not None:
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        heeded.append(signal.SIGHUP)
    try:
        yield asked
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, _T]) -> _T | None:
    """What `work` returns; or None, once it has been cancelled because `stop` was set."""
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    return None if working.cancelled() else working.result()
