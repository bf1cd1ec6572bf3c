"""Sending again what a cluster could not store, as long as there is some success."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from kvorum.client.backoff import Backoff
from kvorum.model.errors import KvorumError

_T = TypeVar("_T")

_BACKOFF: Final = Backoff(first_s=0.1, cap_s=2.0, pauses=8)

Attempt = Callable[[list[_T]], Awaitable[tuple[list[_T], KvorumError | None]]]
"""Sends items, and returns those to send again with the last reason why."""


async def store_patiently(items: list[_T], attempt: Attempt[_T], patience_s: float) -> None:
    """Until none of `items` is left. Raises the last reason once nothing has succeeded for
    `patience_s`.
    """
    now = asyncio.get_running_loop().time
    patient_until = now() + patience_s
    pauses = _BACKOFF.draw(random.Random())
    while items:
        failed, failure = await attempt(items)
        if len(failed) < len(items):
            patient_until = now() + patience_s
            pauses = _BACKOFF.draw(random.Random())
        if failure is not None:
            if now() >= patient_until:
                raise failure
            await asyncio.sleep(next(pauses, _BACKOFF.cap_s))
        items = failed
