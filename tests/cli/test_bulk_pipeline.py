"""The pipeline of bulk work, over a sink whose requests end when and as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from typing import NamedTuple

import pytest

from kvorum.cli.bulk.items import Place, Reject
from kvorum.cli.bulk.pipeline import (
    BATCH_ITEMS,
    IN_FLIGHT,
    Limits,
    Outcome,
    Pipeline,
    Progress,
    TooManyRejected,
)
from kvorum.model.errors import UnavailableError


class Line(NamedTuple):
    number: int
    name: str | None = None

    @property
    def end(self) -> Place:
        return Place(10 * self.number, self.number)


class Sink:
    """Each request waits to be ended; `under_way` holds those that do, by their first line."""

    def __init__(self) -> None:
        self.under_way: dict[int, asyncio.Future[Outcome[Line]]] = {}

    def size(self, item: Line) -> int:
        return 1

    def key(self, item: Line) -> Hashable:
        return item.name

    async def store(self, items: list[Line]) -> Outcome[Line]:
        first = items[0].number
        ended: asyncio.Future[Outcome[Line]] = asyncio.get_running_loop().create_future()
        self.under_way[first] = ended
        outcome = await ended
        outcome.stored = len(items) - len(outcome.again)
        return outcome

    async def end(self, first: int, outcome: Outcome[Line] | None = None) -> None:
        self.under_way.pop(first).set_result(outcome or Outcome())
        await settled()


class Watcher:
    def __init__(self) -> None:
        self.rejected: list[int] = []
        self.done = Progress()

    def on_reject(self, line: Reject) -> None:
        self.rejected.append(line.line)

    def on_progress(self, done: Progress) -> None:
        self.done = done


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def lines(count: int) -> list[Line | Reject]:
    return [Line(number) for number in range(1, count + 1)]


def test_what_ends_early_is_acknowledged_only_behind_what_came_before() -> None:
    async def run() -> None:
        sink, watcher = Sink(), Watcher()
        source = lines(3 * BATCH_ITEMS)
        source[BATCH_ITEMS] = Reject(BATCH_ITEMS + 1, Place(0, BATCH_ITEMS + 1), "wrong")
        work = asyncio.create_task(Pipeline(sink, Limits(), Progress(), watcher).run(iter(source)))
        await settled()
        first, second, third = sorted(sink.under_way)
        await sink.end(third)
        await sink.end(second)
        assert (watcher.done, watcher.rejected) == (Progress(), [])
        await sink.end(first)
        await work
        assert watcher.rejected == [BATCH_ITEMS + 1]
        count = 3 * BATCH_ITEMS
        assert watcher.done == Progress(Place(10 * count, count), count - 1, 1, 0)

    asyncio.run(run())


def test_only_so_many_requests_are_under_way_and_no_more_is_read() -> None:
    async def run() -> None:
        sink, read = Sink(), 0

        def source() -> Iterator[Line | Reject]:
            nonlocal read
            for line in lines(20 * BATCH_ITEMS):
                read += 1
                yield line

        pipeline = Pipeline(sink, Limits(), Progress(), Watcher())
        work = asyncio.create_task(pipeline.run(source()))
        await settled()
        assert len(sink.under_way) == IN_FLIGHT
        assert read <= (IN_FLIGHT + 1) * BATCH_ITEMS + 1
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(run())


def test_a_key_that_comes_again_waits_for_the_one_under_way() -> None:
    async def run() -> None:
        sink = Sink()
        source = iter([Line(1, "a"), Line(2, "b"), Line(3, "a")])
        work = asyncio.create_task(Pipeline(sink, Limits(), Progress(), Watcher()).run(source))
        await settled()
        assert list(sink.under_way) == [1]
        await sink.end(1)
        assert list(sink.under_way) == [3]
        await sink.end(3)
        await work

    asyncio.run(run())


def test_what_fails_is_sent_again_alone_until_patience_ends() -> None:
    async def run(patience_s: float) -> Progress:
        sink = Sink()
        pipeline = Pipeline(sink, Limits(patience_s), Progress(), Watcher())
        work = asyncio.create_task(pipeline.run(iter([Line(1), Line(2)])))
        await settled()
        failed = Outcome[Line]()
        failed.failed([Line(2)], UnavailableError("It is busy."))
        await sink.end(1, failed)
        while not sink.under_way and not work.done():
            await asyncio.sleep(0.01)
        if sink.under_way:
            await sink.end(2)
        await work
        return pipeline.done

    assert asyncio.run(run(60.0)).stored == 2
    with pytest.raises(UnavailableError, match="busy"):
        asyncio.run(run(0.0))


def test_too_many_rejected_lines_end_it() -> None:
    async def run() -> None:
        watcher = Watcher()
        wrong = [Reject(number, Place(number, number), "wrong") for number in range(1, 9)]
        pipeline = Pipeline(Sink(), Limits(max_rejected=2), Progress(rejected=1), watcher)
        with pytest.raises(TooManyRejected, match="More than 2 lines"):
            await pipeline.run(iter(wrong))
        assert watcher.rejected == [1, 2]

    asyncio.run(run())
