"""Storing records as they are: batches, several in flight, in bounded memory.

Records merge, so neither order nor repetition matters: what failed or may have failed is sent
again, until nothing has succeeded for `patience_s`. Batches end in any order; `on_done` is told
only of records before which nothing is open, so that the work can be taken up there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from kvorum.cli.entries.patience import store_patiently
from kvorum.client import record_requests as requests
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.record_requests import PortableRecord
from kvorum.model.errors import KvorumError, UnavailableError
from kvorum.runtime.together import together

BATCH_RECORDS: Final = 500
BATCH_BYTES: Final = 1 << 20
IN_FLIGHT: Final = 8


class Placed(NamedTuple):
    """A record, and where it is in what is read: any mark that whoever reads understands."""

    mark: Any
    record: PortableRecord


@dataclass(slots=True, eq=False)
class _Batch:
    mark: Any = None
    records: list[PortableRecord] = field(default_factory=list)
    size: int = 0
    finished: bool = False

    @property
    def full(self) -> bool:
        return len(self.records) >= BATCH_RECORDS or self.size >= BATCH_BYTES


class RecordStore:
    def __init__(
        self,
        client: AsyncClient,
        w: int | None,
        patience_s: float,
        on_done: Callable[[Any, int], object],
    ) -> None:
        """`on_done(mark, stored)`: all records up to `mark` are stored, `stored` more of them."""
        self._client = client
        self._w = w
        self._patience_s = patience_s
        self._on_done = on_done
        self._begun: deque[_Batch] = deque()
        self._free = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, records: Iterator[Placed]) -> None:
        """Raises what the cluster still says when patience has ended, or what no patience mends."""
        await together([self._read(records)])

    async def _read(self, records: Iterator[Placed]) -> None:
        async with asyncio.TaskGroup() as tasks:
            batch = _Batch()
            for mark, record in records:
                batch.mark = mark
                batch.records.append(record)
                batch.size += len(record.record)
                if batch.full:
                    await self._begin(batch, tasks)
                    batch = _Batch()
            if batch.records:
                await self._begin(batch, tasks)

    async def _begin(self, batch: _Batch, tasks: asyncio.TaskGroup) -> None:
        await self._free.acquire()
        self._begun.append(batch)
        tasks.create_task(self._carry_out(batch))

    async def _carry_out(self, batch: _Batch) -> None:
        await store_patiently(batch.records, self._store_once, self._patience_s)
        batch.finished = True
        while self._begun and self._begun[0].finished:
            done = self._begun.popleft()
            self._on_done(done.mark, len(done.records))
        self._free.release()

    async def _store_once(
        self, records: list[PortableRecord]
    ) -> tuple[list[PortableRecord], KvorumError | None]:
        """The records to send again, and the last reason why."""
        try:
            document = await self._client.ask(requests.put_many(records, self._w))
        except UnavailableError as error:
            return records, error
        failed: list[PortableRecord] = []
        failure: KvorumError | None = None
        outcomes = requests.failures(document, len(records))
        for record, refusal in zip(records, outcomes, strict=True):
            if refusal is None:
                continue
            if not isinstance(refusal, UnavailableError):
                raise refusal
            failed.append(record)
            failure = refusal
        return failed, failure
