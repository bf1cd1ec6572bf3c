"""Two ways to ask the cluster for entries: many in a request, or one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from kvorum.client.answers import Result
from kvorum.client.asynchronous import AsyncClient
from kvorum.model.errors import KvorumError

_TIMEOUT_S: Final = 5.0

Item = tuple[str, bytes]


class Requests(Protocol):
    """One way to ask the cluster for entries."""

    entries: int
    """How many go into a request."""
    in_flight: int
    """How many requests are under way at once."""

    async def write(self, items: Sequence[Item]) -> Sequence[Result]: ...

    async def read(self, keys: Sequence[str]) -> Sequence[Result]: ...


class ManyEntries:
    """Requests of many entries each."""

    entries = 100
    in_flight = 8

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def write(self, items: Sequence[Item]) -> Sequence[Result]:
        raw = [(key, msgspec.Raw(value)) for key, value in items]
        return await self._client.set_many(raw, timeout=_TIMEOUT_S)

    async def read(self, keys: Sequence[str]) -> Sequence[Result]:
        return await self._client.get_entries(keys, timeout=_TIMEOUT_S)


class OneEntry:
    """Requests of one entry each."""

    entries = 1
    in_flight = 16

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def write(self, items: Sequence[Item]) -> Sequence[Result]:
        [(key, value)] = items
        try:
            return [await self._client.set(key, msgspec.Raw(value), timeout=_TIMEOUT_S)]
        except KvorumError as error:
            return [error]

    async def read(self, keys: Sequence[str]) -> Sequence[Result]:
        [key] = keys
        try:
            return [await self._client.get_entry(key, timeout=_TIMEOUT_S)]
        except KvorumError as error:
            return [error]
