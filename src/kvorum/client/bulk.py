"""Many entries in one call: requests of bounded size, several in flight, one result per item.

A list is cut into requests of at most ITEMS_MAX items and BYTES_MAX bytes. Items that the
server says it did not touch and could serve later are asked again, and they alone, for as
long as each round gets somewhere. A request that fails as a whole gives its error to each of
its items; where one item may be to blame for all (it is nested too deep to be looked at, or
the answer would be too large), its halves are asked instead. Items of unknown outcome may be looked
up, one by one (`retryable_writes`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from kvorum.client.answers import Answer
from kvorum.client.calls import Calls, may_repeat
from kvorum.client.connection import AnswerTooLarge
from kvorum.client.requests import Request
from kvorum.client.retryable_writes import Unsettled
from kvorum.model.errors import InvalidValue, KvorumError

ITEMS_MAX: Final = 1_000
BYTES_MAX: Final = 4 * 1024 * 1024
IN_FLIGHT: Final = 4

_ANSWER_TOO_LONG: Final = "answer_too_long"

_Item = TypeVar("_Item")
_Got = TypeVar("_Got")


@dataclass(frozen=True, slots=True)
class Single(Generic[_Item, _Got]):
    """How one item is written by itself, and how the answer to that is read."""

    request: Callable[[_Item], Request]
    result: Callable[[_Item, Answer], _Got]


@dataclass(frozen=True, slots=True)
class Question(Generic[_Item, _Got]):
    """How a list of items is asked for and how its answer is read."""

    request: Callable[[list[_Item]], Request]
    results: Callable[[list[_Item], Answer], Sequence[_Got | KvorumError]]
    size: Callable[[_Item], int]
    single: Single[_Item, _Got] | None = None


class Bulk(Generic[_Item, _Got]):
    """One call about `items`; `run` returns a result for each, in order."""

    def __init__(
        self,
        calls: Calls,
        question: Question[_Item, _Got],
        items: Sequence[_Item],
        deadline: float,
    ) -> None:
        self._calls = calls
        self._question = question
        self._items = items
        self._deadline = deadline
        self._results: dict[int, _Got | KvorumError] = {}
        self.retry_unknown = False
        """It is looked up what became of items of unknown outcome, one by one."""

    async def run(self) -> list[_Got | KvorumError]:
        """A result for each item, in order. Raises ConfigError if the client is closed."""
        self._calls.check_open()
        began = self._calls.now()
        pauses = self._calls.pauses()
        pending = await self._ask(range(len(self._items)))
        while pending:
            pause = next(pauses, None)
            if pause is None or self._calls.now() + pause >= self._deadline:
                break
            await asyncio.sleep(pause)
            left = await self._ask(pending)
            if len(left) < len(pending):
                pauses = self._calls.pauses()
            pending = left
        if self.retry_unknown and self._question.single is not None:
            await self._settle(self._question.single, began)
        return [self._results[place] for place in range(len(self._items))]

    async def _settle(self, single: Single[_Item, _Got], began: float) -> None:
        """Look up what became of items of unknown outcome, and repeat those where that is safe."""
        unknown = (
            (place, result)
            for place, result in list(self._results.items())
            if isinstance(result, KvorumError) and result.outcome == "unknown"
        )

        async def work() -> None:
            for place, error in unknown:
                item = self._items[place]
                write = Unsettled(single.request(item), error, began)
                try:
                    answer = await self._calls.settle(write, self._deadline)
                    self._results[place] = single.result(item, answer)
                except KvorumError as failure:
                    self._results[place] = failure

        async with asyncio.TaskGroup() as workers:
            for _ in range(IN_FLIGHT):
                workers.create_task(work())

    async def _ask(self, places: Sequence[int]) -> list[int]:
        """Ask for `places`; returns those worth asking again."""
        again: list[int] = []
        requests = self._cut(places)

        async def work() -> None:
            for part in requests:
                again.extend(await self._ask_at_once(part))

        async with asyncio.TaskGroup() as workers:
            for _ in range(min(IN_FLIGHT, len(places))):
                workers.create_task(work())
        return sorted(again)

    async def _ask_at_once(self, places: list[int]) -> list[int]:
        items = [self._items[place] for place in places]
        try:
            answer = await self._calls.call(
                self._question.request(items), self._deadline, retry_unknown=self.retry_unknown
            )
            results = self._question.results(items, answer)
        except (AnswerTooLarge, InvalidValue) as error:
            if len(places) > 1:
                half = len(places) // 2
                first = await self._ask_at_once(places[:half])
                return first + await self._ask_at_once(places[half:])
            self._results[places[0]] = error
            return []
        except KvorumError as error:
            self._results.update(dict.fromkeys(places, error))
            return []
        self._results.update(zip(places, results, strict=True))
        return [
            place
            for place, result in zip(places, results, strict=True)
            if isinstance(result, KvorumError) and _may_be_asked_again(result)
        ]

    def _cut(self, places: Sequence[int]) -> Iterator[list[int]]:
        part: list[int] = []
        size = 0
        for place in places:
            item_size = self._question.size(self._items[place])
            if part and (len(part) == ITEMS_MAX or size + item_size > BYTES_MAX):
                yield part
                part, size = [], 0
            part.append(place)
            size += item_size
        if part:
            yield part


def _may_be_asked_again(error: KvorumError) -> bool:
    """Of an item: also one that had no more room in the answer, since others had."""
    return may_repeat(error) or error.code == _ANSWER_TOO_LONG
