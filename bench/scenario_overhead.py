"""What background anti-entropy costs the foreground: throughput with it and without, in turn.

With it: every node is asked for a repair of everything, and for the next one as soon as that
has ended. That is far more than the passes that nodes make by themselves, which begin a
minute or more after the last one ended, and which go on in both kinds of round.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import foreground
from burden import in_turn
from figures import Figure, Outcome
from scale import Scale
from trio import Trio

from kvorum.client.asynchronous import AsyncClient
from kvorum.model.errors import UnavailableError

SCENARIO: Final = "overhead"
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
    async with Trio(scale.work_dir) as trio:
        await foreground.stock(trio)
        turns = await in_turn(scale, trio, lambda: passes.running(trio.clients))
    figures = [
        *turns.figures("repairs back to back"),
        Figure("partitions compared by repairs", passes.partitions),
    ]
    details = {
        **turns.details(scale),
        "records_repaired": passes.records,
        "repairs_refused": passes.refused,
    }
    return Outcome(SCENARIO, figures, details)
