"""Carrying out bulk work, from a source into a cluster, until it is done or a signal stops it."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from kvorum.cli.bulk.pipeline import Limits, Pipeline, Placed, Progress, Sink, Source
from kvorum.cli.bulk.watch import Watch
from kvorum.cli.errors import Interrupted
from kvorum.cli.signals import stop_signals, unless
from kvorum.client.asynchronous import AsyncClient
from kvorum.runtime.loop import run

_Item = TypeVar("_Item", bound=Placed)


def store_all(
    client: AsyncClient, sink: Sink[_Item], source: Source[_Item], limits: Limits, watch: Watch
) -> Progress:
    """Store all of `source`, which begins where `watch` does; returns what is done then. Raises
    Interrupted if a signal stops it, or a pipeline's error; then the position is saved."""
    pipeline = Pipeline(sink, limits, watch.done, watch)

    async def work() -> None:
        async with client:
            await client.status()  # if nobody is there, say so at once and not when patience ends
            await pipeline.run(source)

    try:
        # Without a position there is nothing to tell, and the input may be long in coming.
        run(_until_stopped(work()) if watch.position else work())
    except BaseException as error:
        watch.interrupted(error)
        raise
    if watch.position is not None:
        watch.position.remove()
    return pipeline.done


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Raises Interrupted if a signal ended it."""
    with stop_signals(again=lambda: None) as stop:
        await unless(stop, work)
    if stop.is_set():
        raise Interrupted
