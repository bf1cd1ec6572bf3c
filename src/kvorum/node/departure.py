"""The departure of a node: a planned stop, in which no client meets an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from kvorum.listener.listener import Listener
from kvorum.replication.readiness import HealthChecks
from kvorum.replication.replicator import Replicator

_DEPARTURE_S_MAX: Final = 5.0
_LOOK_AGAIN_S: Final = 0.005


async def depart(
    health_checks: HealthChecks, replicator: Replicator, listener: Listener, grace_s: float
) -> None:
    """Hand over to other nodes, within bounds, so that no client meets an error."""
    health_checks.stopping = True
    replicator.leave()
    await listener.leave(grace_s)
    replicator.shut_door()
    await listener.close()
    await until(lambda: replicator.left, _DEPARTURE_S_MAX)


async def until(condition: Callable[[], bool], within_s: float) -> None:
    """Returns when `condition` holds, and in any case after `within_s`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(_LOOK_AGAIN_S)
