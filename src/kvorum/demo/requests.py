"""Two ways to ask the cluster for entries: many in a request, or one."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Final

import msgspec

from kvorum.client.answers import Result
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.entry import Entry
from kvorum.model.errors import KvorumError

_TIMEOUT_S: Final = 5.0

Item = tuple[str, bytes]


class ManyEntries:
    """Requests of many entries each."""

    entries = 100
    """How many go into a request."""
    in_flight = 8
    """How many requests are under way at once."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def write(self, items: Sequence[Item]) -> Sequence[Result]:
        """Store `items`; returns what came of each."""
        raw = [(key, msgspec.Raw(value)) for key, value in items]
        return await self._client.set_many(raw, timeout=_TIMEOUT_S)

    async def read(self, keys: Sequence[str]) -> Sequence[Result]:
        """Read `keys`; returns what came of each."""
        return await self._client.get_entries(keys, timeout=_TIMEOUT_S)


class OneEntry(ManyEntries):
    """Requests of one entry each."""

    entries = 1
    in_flight = 16

    async def write(self, items: Sequence[Item]) -> Sequence[Result]:
        [(key, value)] = items
        return await _result(self._client.set(key, msgspec.Raw(value), timeout=_TIMEOUT_S))

    async def read(self, keys: Sequence[str]) -> Sequence[Result]:
        [key] = keys
        return await _result(self._client.get_entry(key, timeout=_TIMEOUT_S))


async def _result(call: Coroutine[Any, Any, Entry]) -> Sequence[Result]:
    try:
        return [await call]
    except KvorumError as error:
        return [error]
