"""Storing entries as new writes, each under its own lifetime.

What is wrong with an entry rejects it, and the rest goes on. What has expired before it is sent is
left out and counted.

Siblings cannot be written at once. The latest of them is stored first, as a stand-in; then
all, the latest last, with the stand-in's version: they replace it, but not each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from kvorum.cli.bulk.items import Item, Reject
from kvorum.cli.bulk.pipeline import Outcome
from kvorum.client.answers import Result
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.entry import Entry
from kvorum.client.requests import Lifetime
from kvorum.model.errors import InvalidKey, InvalidValue, KvorumError, RequestError

_CONTENT_TOO_LARGE: Final = "content_too_large"


class EntrySink:
    """Stores entries by way of `client`. `w`: how many replicas must have each."""

    def __init__(self, client: AsyncClient, w: int | None, wall_ms: Callable[[], int]) -> None:
        self._client = client
        self._w = w
        self._wall_ms = wall_ms

    def size(self, item: Item) -> int:
        """About how many bytes it takes."""
        siblings = sum(len(bytes(one.value)) for one in item.siblings)
        return len(item.key) + max(len(bytes(item.value)), siblings)

    def key(self, item: Item) -> Hashable:
        """The entry it is: two writes of one must not overtake each other."""
        return item.namespace, item.key

    async def store(self, items: list[Item]) -> Outcome[Item]:
        """Raises RequestError if no item is to blame."""
        outcome = Outcome[Item]()
        now_ms = self._wall_ms()
        alive = [item for item in (_at(item, now_ms) for item in items) if item is not None]
        outcome.expired = len(items) - len(alive)
        for item, result in await self._results(alive):
            if isinstance(result, Entry):
                outcome.stored += 1
            elif isinstance(result, RequestError) and _at(item, self._wall_ms()) is None:
                outcome.expired += 1  # on its way
            elif _is_wrong(result):
                outcome.rejects.append(Reject(item.line, item.end, result.message))
            elif isinstance(result, RequestError):
                raise result
            else:
                outcome.failed([item], result)
        return outcome

    async def _results(self, items: list[Item]) -> list[tuple[Item, Result]]:
        results: list[tuple[Item, Result]] = []
        single: dict[str | None, list[Item]] = {}
        for item in items:
            if not item.siblings:
                single.setdefault(item.namespace, []).append(item)
        for namespace, some in single.items():
            entries = [(item.key, item.value, item.lifetime) for item in some]
            stored = await self._client.set_each(entries, namespace=namespace, w=self._w)
            results += zip(some, stored, strict=True)
        for item in items:
            if item.siblings:
                results.append((item, await self._store_siblings(item)))
        return results

    async def _store_siblings(self, item: Item) -> Result:
        client, namespace, w = self._client, item.namespace, self._w
        try:
            entry = await client.set(item.key, item.siblings[0].value, namespace=namespace, w=w)
            stand_in = entry.version
            for value, (ttl, expires_at) in reversed(item.siblings):
                entry = await client.set(
                    item.key,
                    value,
                    version=stand_in,
                    ttl=ttl,
                    expires_at=expires_at,
                    namespace=namespace,
                    w=w,
                )
        except KvorumError as error:
            return error
        return entry


def _is_wrong(error: KvorumError) -> bool:
    """True if the item is to blame, and not the work as a whole."""
    return isinstance(error, InvalidKey | InvalidValue) or error.code == _CONTENT_TOO_LARGE


def _at(item: Item, now_ms: int) -> Item | None:
    """What of `item` lives at that time."""
    if not item.siblings:
        return None if _has_expired(item.lifetime, now_ms) else item
    alive = tuple(one for one in item.siblings if not _has_expired(one.lifetime, now_ms))
    if not alive:
        return None
    siblings = alive if len(alive) > 1 else ()
    return item._replace(value=alive[0].value, lifetime=alive[0].lifetime, siblings=siblings)


def _has_expired(lifetime: Lifetime, now_ms: int) -> bool:
    return lifetime.expires_at is not None and lifetime.expires_at <= now_ms
