"""Storing the entries of a file: batches with several in flight, in bounded memory.

    lines -> batches -> up to IN_FLIGHT requests at once -> what came of each line

Storing an entry again does no harm, so what failed or may have failed is sent again, until
nothing has succeeded for `patience_s`. What is wrong with a line rejects that line, by its
number, and the rest goes on. Batches end in any order; `done` covers only lines before which
nothing is open, so that an import can be taken up there. In that order wrong lines are told.

What has expired before it is sent is left out and counted.

Two lines of one key must not overtake each other: one whose key is under way waits.

Siblings cannot be written at once. The latest of them is stored first, as a stand-in; then
all, the latest last, with the stand-in's version: they replace it, but not each other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kvorum.cli.entries.checkpoint import Progress
from kvorum.cli.entries.entry_lines import Item, Lines, Place, Reject
from kvorum.cli.entries.patience import store_patiently
from kvorum.cli.entries.rejections import Rejections
from kvorum.client.answers import Result
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.entry import Entry
from kvorum.client.requests import Lifetime
from kvorum.model.errors import (
    InvalidKey,
    InvalidValue,
    KvorumError,
    RequestError,
)

BATCH_LINES: Final = 500
BATCH_BYTES: Final = 1024 * 1024
IN_FLIGHT: Final = 8

_CONTENT_TOO_LARGE: Final = "content_too_large"


@dataclass(frozen=True, slots=True)
class Plan:
    w: int | None = None
    patience_s: float = 60.0
    max_rejected: int | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Lines in a row."""

    start: Place
    end: Place
    items: list[Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    stored: int = 0
    expired: int = 0
    finished: bool = False

    @property
    def full(self) -> bool:
        lines = len(self.items) + len(self.rejects)
        return lines >= BATCH_LINES or self.end.offset - self.start.offset >= BATCH_BYTES


class Import:
    """One run over the lines behind `done`. The callbacks are told of it as it goes."""

    def __init__(
        self,
        client: AsyncClient,
        plan: Plan,
        done: Progress,
        on_reject: Callable[[Reject], None],
        on_progress: Callable[[Progress], None],
        wall_ms: Callable[[], int],
    ) -> None:
        self.done = done
        self._client = client
        self._plan = plan
        self._on_progress = on_progress
        self._wall_ms = wall_ms
        self._rejections = Rejections(done.rejected, plan.max_rejected, on_reject)
        self._begun: deque[_Batch] = deque()
        self._keys: set[str] = set()
        self._free = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, lines: Lines) -> None:
        """Raises TooManyRejected, or what the cluster still says when patience has ended."""
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._read(lines, tasks)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _read(self, lines: Lines, tasks: asyncio.TaskGroup) -> None:
        batch = _Batch(self.done.place, self.done.place)
        for line in lines:
            comes_again = isinstance(line, Item) and line.key in self._keys
            if comes_again or batch.full:
                await self._begin(batch, tasks)
                batch = _Batch(batch.end, batch.end)
            if comes_again:
                await self._all_finished()
            self._take(line, batch)
        await self._begin(batch, tasks)

    def _take(self, line: Item | Reject, batch: _Batch) -> None:
        batch.end = line.end
        if isinstance(line, Reject):
            batch.rejects.append(line)
        else:
            batch.items.append(line)
            self._keys.add(line.key)

    async def _begin(self, batch: _Batch, tasks: asyncio.TaskGroup) -> None:
        await self._free.acquire()
        self._begun.append(batch)
        tasks.create_task(self._carry_out(batch))

    async def _all_finished(self) -> None:
        for _ in range(IN_FLIGHT):
            await self._free.acquire()
        for _ in range(IN_FLIGHT):
            self._free.release()

    async def _carry_out(self, batch: _Batch) -> None:
        await self._store(batch)
        batch.finished = True
        self._keys.difference_update(item.key for item in batch.items)
        while self._begun and self._begun[0].finished:
            self._count(self._begun.popleft())
        self._on_progress(self.done)
        self._free.release()

    def _count(self, batch: _Batch) -> None:
        """Raises TooManyRejected."""
        for line in sorted(batch.rejects):
            self._rejections.add(line)
        done = self.done
        self.done = Progress(
            *batch.end,
            done.stored + batch.stored,
            done.rejected + len(batch.rejects),
            done.expired + batch.expired,
        )

    async def _store(self, batch: _Batch) -> None:
        """Until every item is stored or rejected. Raises what does not pass."""
        await store_patiently(
            self._alive(batch.items, batch),
            lambda items: self._store_once(items, batch),
            self._plan.patience_s,
        )

    def _alive(self, items: list[Item], batch: _Batch) -> list[Item]:
        """`items` without those of which nothing lives any more; siblings that do may be fewer."""
        now_ms = self._wall_ms()
        alive = [item for item in (_at(item, now_ms) for item in items) if item is not None]
        batch.expired += len(items) - len(alive)
        return alive

    async def _store_once(
        self, items: list[Item], batch: _Batch
    ) -> tuple[list[Item], KvorumError | None]:
        """The items to send again, and the last reason why."""
        failed: list[Item] = []
        failure: KvorumError | None = None
        for item, result in await self._results(items):
            if isinstance(result, Entry):
                batch.stored += 1
            elif _is_gone(item, result, self._wall_ms()):
                batch.expired += 1
            elif _is_wrong(result):
                batch.rejects.append(Reject(item.line, item.end, result.message))
            elif isinstance(result, RequestError):
                raise result
            else:
                failed.append(item)
                failure = result
        return failed, failure

    async def _results(self, items: list[Item]) -> list[tuple[Item, Result]]:
        w = self._plan.w
        single = [item for item in items if len(item.siblings) < 2]
        stored = await self._client.set_each(
            [(item.key, item.value, item.lifetime) for item in single], w=w
        )
        results: list[tuple[Item, Result]] = list(zip(single, stored, strict=True))
        return results + [
            (item, await self._store_siblings(item)) for item in items if len(item.siblings) >= 2
        ]

    async def _store_siblings(self, item: Item) -> Result:
        w = self._plan.w
        try:
            entry = await self._client.set(item.key, item.siblings[0].value, w=w)
            stand_in = entry.version
            for value, (ttl, expires_at) in reversed(item.siblings):
                entry = await self._client.set(
                    item.key, value, version=stand_in, ttl=ttl, expires_at=expires_at, w=w
                )
        except KvorumError as error:
            return error
        return entry


def _is_wrong(error: KvorumError) -> bool:
    """True if the item is to blame, and not the import as a whole."""
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


def _is_gone(item: Item, error: KvorumError, now_ms: int) -> bool:
    """True if `item` was refused because it expired on its way."""
    return isinstance(error, RequestError) and _at(item, now_ms) is None
