"""What background anti-entropy costs the foreground: throughput with it and without, in turn.

With it: every node is asked for a repair of everything, and for the next one as soon as that
has ended. That is far more than the passes that nodes make by themselves, which begin a
minute or more after the last one ended, and which go on in both kinds of round.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from statistics import fmean
from typing import Final

import click
import foreground
from failover import running
from figures import Figure, Outcome, at_least, at_most
from foreground import Span, now_ns
from scale import Scale
from trio import Trio

from kvorum.client.asynchronous import AsyncClient
from kvorum.model.errors import UnavailableError

SCENARIO: Final = "overhead"
_RATIO_MIN: Final = 0.9
_POLL_S: Final = 0.05


class _Passes:
    """Repairs back to back, and what they got through."""

    def __init__(self) -> None:
        self.partitions = 0
        self.records = 0
        self.refused = 0
        self._stopping = False

    @asynccontextmanager
    async def running(self, clients: list[AsyncClient]) -> AsyncIterator[None]:
        """For the time of the block; those that have begun then go on to their end, so that
        they are no burden to what is measured next."""
        self._stopping = False
        tasks = [asyncio.create_task(self._repeat(client)) for client in clients]
        try:
            yield
            self._stopping = True
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _repeat(self, client: AsyncClient) -> None:
        while not self._stopping:
            try:
                await self._repair(client)
            except UnavailableError:
                self.refused += 1
                await asyncio.sleep(_POLL_S)

    async def _repair(self, client: AsyncClient) -> None:
        run = await client.begin_repair()
        while not run["ended"]:
            await asyncio.sleep(_POLL_S)
            run = await client.repair_progress(run["id"])
        self.partitions += run["done"]
        self.records += run["repaired"]


async def measure(scale: Scale) -> Outcome:
    passes = _Passes()
    without: list[Span] = []
    with_it: list[Span] = []
    async with Trio(scale.work_dir) as trio:
        await foreground.stock(trio)
        load = foreground.load_on(trio, scale.connections)

        async def stretch() -> Span:
            await asyncio.sleep(foreground.WARM_UP_S)
            since_ns = now_ns()
            await asyncio.sleep(scale.seconds)
            return Span(load, since_ns, now_ns())

        async with running(load, scale.connections):
            for number in range(1, scale.rounds + 1):
                click.echo(f"round {number} of {scale.rounds}", err=True)
                without.append(await stretch())
                async with passes.running(trio.clients):
                    with_it.append(await stretch())
    ratios = [a.per_second / b.per_second for a, b in zip(with_it, without, strict=True)]
    rate, rate_without = (fmean(s.per_second for s in spans) for spans in (with_it, without))
    figures = [
        Figure("throughput without", rate_without, "/s"),
        Figure("throughput with repairs back to back", rate, "/s"),
        Figure("ratio", rate / rate_without, "", at_least(_RATIO_MIN)),
        Figure("ratio, lowest round", min(ratios)),
        Figure("ratio, highest round", max(ratios)),
        Figure("partitions compared by repairs", passes.partitions),
        Figure("requests that failed", load.errors.total(), "", at_most(0)),
    ]
    details = {
        "connections": scale.connections,
        "ratios": ratios,
        "without": [span.document() for span in without],
        "with": [span.document() for span in with_it],
        "records_repaired": passes.records,
        "repairs_refused": passes.refused,
        "errors": dict(load.errors),
    }
    return Outcome(SCENARIO, figures, details)
