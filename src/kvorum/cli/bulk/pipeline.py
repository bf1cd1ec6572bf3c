"""A source's items on their way into a cluster: batches, several under way, in bounded memory.

Storing an item again does no harm, so what failed or may have failed is sent again, until
nothing has succeeded for `patience_s`. Batches end in any order, and are acknowledged in the
source's: `done` covers only what lies before the first one that is open, so that the work can be
taken up there. What cannot be stored is rejected and told in the same order, and the rest goes on.

Two items of one key must not overtake each other: one whose key is under way waits.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from kvorum.cli.bulk.items import START, Place, Reject
from kvorum.client.backoff import Backoff
from kvorum.model.errors import KvorumError, PreconditionFailed
from kvorum.runtime.together import together

BATCH_ITEMS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
IN_FLIGHT: Final = 8

_BACKOFF: Final = Backoff(first_s=0.1, cap_s=2.0, pauses=8)


class TooManyRejected(PreconditionFailed):
    """More of a source cannot be stored than the user allows."""

    code = "too_many_rejected"


class Placed(Protocol):
    """What a pipeline can store: it knows where in its source reading goes on behind it."""

    @property
    def end(self) -> Place: ...


_Item = TypeVar("_Item", bound=Placed)

Source = Iterator[_Item | Reject]
"""What is to be stored, in order, and what cannot be."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When to give up: after seconds without any success, and after too many rejected lines."""

    patience_s: float = 60.0
    max_rejected: int | None = None


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a source before `place` is done, and what came of it in numbers."""

    place: Place = START
    stored: int = 0
    rejected: int = 0
    expired: int = 0


@dataclass(slots=True)
class Outcome(Generic[_Item]):
    """What came of one attempt. `again`: what to send once more, because of `failure`."""

    stored: int = 0
    expired: int = 0
    rejects: list[Reject] = field(default_factory=list)
    again: list[_Item] = field(default_factory=list)
    failure: KvorumError | None = None

    def failed(self, items: list[_Item], reason: KvorumError) -> None:
        """`items` are to be sent again."""
        self.again += items
        self.failure = reason


class Sink(Protocol[_Item]):
    """Where items are stored."""

    def size(self, item: _Item) -> int:
        """About how many bytes it takes."""

    def key(self, item: _Item) -> Hashable:
        """Items of one key are stored one after another; None if any order will do."""

    async def store(self, items: list[_Item]) -> Outcome[_Item]:
        """Try once. Raises what ends the whole work, because it is no item's own fault."""


class Watcher(Protocol):
    """Who is told how the work goes."""

    def on_reject(self, line: Reject) -> None:
        """A line cannot be stored; told in the order of the source."""

    def on_progress(self, done: Progress) -> None:
        """More is done than before."""


@dataclass(slots=True, eq=False)
class _Batch(Generic[_Item]):
    """A stretch of the source, up to `end`."""

    end: Place = START
    items: list[_Item] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    size: int = 0
    stored: int = 0
    expired: int = 0
    finished: bool = False

    @property
    def count(self) -> int:
        return len(self.items) + len(self.rejects)

    @property
    def full(self) -> bool:
        return self.count >= BATCH_ITEMS or self.size >= BATCH_BYTES


class Pipeline(Generic[_Item]):
    """One run over the part of a source behind `done`."""

    def __init__(self, sink: Sink[_Item], limits: Limits, done: Progress, watcher: Watcher) -> None:
        self.done = done
        self._sink = sink
        self._limits = limits
        self._watcher = watcher
        self._begun: deque[_Batch[_Item]] = deque()
        self._keys: set[Hashable] = set()
        self._free = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, source: Source[_Item]) -> None:
        """Store all of `source`. Raises TooManyRejected, or what the cluster says in the end."""
        await together([self._read(source)])

    async def _read(self, source: Source[_Item]) -> None:
        async with asyncio.TaskGroup() as tasks:
            batch = _Batch[_Item]()
            for item in source:
                key = None if isinstance(item, Reject) else self._sink.key(item)
                comes_again = key is not None and key in self._keys
                if comes_again or batch.full:
                    await self._begin(batch, tasks)
                    batch = _Batch()
                if comes_again:
                    await self._all_finished()
                self._take(item, key, batch)
            if batch.count:
                await self._begin(batch, tasks)

    def _take(self, item: _Item | Reject, key: Hashable, batch: _Batch[_Item]) -> None:
        batch.end = item.end
        if isinstance(item, Reject):
            batch.rejects.append(item)
            return
        batch.items.append(item)
        batch.size += self._sink.size(item)
        if key is not None:
            self._keys.add(key)

    async def _begin(self, batch: _Batch[_Item], tasks: asyncio.TaskGroup) -> None:
        await self._free.acquire()
        self._begun.append(batch)
        tasks.create_task(self._carry_out(batch))

    async def _all_finished(self) -> None:
        for _ in range(IN_FLIGHT):
            await self._free.acquire()
        for _ in range(IN_FLIGHT):
            self._free.release()

    async def _carry_out(self, batch: _Batch[_Item]) -> None:
        await self._store(batch)
        batch.finished = True
        self._keys.difference_update(map(self._sink.key, batch.items))
        while self._begun and self._begun[0].finished:
            self._acknowledge(self._begun.popleft())
        self._watcher.on_progress(self.done)
        self._free.release()

    async def _store(self, batch: _Batch[_Item]) -> None:
        """Until each item is stored, expired or rejected."""
        now = asyncio.get_running_loop().time
        items = batch.items
        patient_until = now() + self._limits.patience_s
        pauses = _BACKOFF.draw(random.Random())
        while items:
            outcome = await self._sink.store(items)
            batch.stored += outcome.stored
            batch.expired += outcome.expired
            batch.rejects += outcome.rejects
            if len(outcome.again) < len(items):
                patient_until = now() + self._limits.patience_s
                pauses = _BACKOFF.draw(random.Random())
            if outcome.failure is not None:
                if now() >= patient_until:
                    raise outcome.failure
                await asyncio.sleep(next(pauses, _BACKOFF.cap_s))
            items = outcome.again

    def _acknowledge(self, batch: _Batch[_Item]) -> None:
        """Raises TooManyRejected."""
        rejected = self.done.rejected
        most = self._limits.max_rejected
        for line in sorted(batch.rejects):
            rejected += 1
            self._watcher.on_reject(line)
            if most is not None and rejected > most:
                raise self._too_many_rejected(most, batch)
        done = self.done
        self.done = Progress(
            batch.end, done.stored + batch.stored, rejected, done.expired + batch.expired
        )

    def _too_many_rejected(self, most: int, batch: _Batch[_Item]) -> TooManyRejected:
        stored = self.done.stored + sum(one.stored for one in (batch, *self._begun))
        least = "" if all(one.finished for one in self._begun) else "at least "
        entries = "entry was" if stored == 1 else "entries were"
        return TooManyRejected(
            f"More than {most} lines were rejected, so it ended there; {least}{stored:,} {entries} "
            "stored before. Correct the lines, or allow more with --max-rejected N or "
            "--max-rejected all.",
            stored=stored,
        )
