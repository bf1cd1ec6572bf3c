"""What it costs the foreground that every record is looked at and sealed again.

Every node is told to rotate its data keys: the scrubber walks over all records, opens each, and
seals it with the new key. A pass that only looks does half of that. Some keys that the foreground
does not ask for make the walk long enough to last through what is measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import foreground
from burden import in_turn
from figures import Figure, Outcome
from scale import Scale
from stocking import store
from trio import Trio

from kvorum.client import node_requests
from kvorum.client.asynchronous import AsyncClient

SCENARIO: Final = "rewriting"
_KEYS: Final = 5_000
_POLL_S: Final = 0.2


async def measure(scale: Scale) -> Outcome:
    seen: list[int] = []
    async with Trio(scale.work_dir) as trio:
        await foreground.stock(trio)
        await store(trio.clients, [f"at rest {n}" for n in range(_KEYS)], "keys at rest")
        turns = await in_turn(scale, trio, lambda: _rotating(trio.clients, seen))
    figures = [
        *turns.figures("keys rotating"),
        Figure("records looked at meanwhile, by all nodes", sum(seen)),
    ]
    return Outcome(SCENARIO, figures, turns.details(scale))


@asynccontextmanager
async def _rotating(clients: list[AsyncClient], seen: list[int]) -> AsyncIterator[None]:
    """The walks are waited for, so that they are no burden to what is measured next."""
    for client in clients:
        await client.ask(node_requests.rotate(None))
    yield
    seen += [scrub.get("pairs", 0) for scrub in await _walks(clients)]
    while any(scrub["running"] for scrub in await _walks(clients)):
        await asyncio.sleep(_POLL_S)


async def _walks(clients: list[AsyncClient]) -> list[dict[str, Any]]:
    documents = await asyncio.gather(
        *(client.ask(node_requests.scrub_progress()) for client in clients)
    )
    return [document["scrub"] for document in documents]
