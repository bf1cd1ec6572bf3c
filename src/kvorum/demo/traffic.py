"""A stretch of reading or writing: several requests at once, all of it measured.

A write whose outcome is unknown (its node was killed after it was sent) may have happened or
not. It is sent again, the same value under the same key, until it is acknowledged, and
counted: an entry is only called written when the cluster said so. What was refused or not
answered without effect, as reading never has any, is sent again too, and counted apart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from kvorum.bench.histogram import Histogram
from kvorum.client.answers import Result
from kvorum.demo.ledger import Ledger
from kvorum.demo.requests import Item, ManyEntries
from kvorum.model.errors import ProtocolError, UnavailableError
from kvorum.runtime.together import together

_GIVE_UP_S: Final = 20.0
_PAUSE_S: Final = 0.05

_T = TypeVar("_T")


class Traffic:
    """Latencies are per request, in nanoseconds; `on_progress` hears how many entries are done."""

    def __init__(self, name: str, on_progress: Callable[[int], object]) -> None:
        self.name = name
        self.entries = 0
        self.unknown = 0
        self.unserved = 0
        self.seconds = 0.0
        self.latencies = Histogram()
        self.longest_silence_s = 0.0
        """The longest time in which no entry was read or written."""
        self._on_progress = on_progress
        self._last_answer_at = 0.0

    @property
    def per_second(self) -> float:
        return self.entries / self.seconds if self.seconds else 0.0

    async def write(self, requests: ManyEntries, items: Iterable[Item], ledger: Ledger) -> None:
        """Write `items`, each until it is acknowledged."""
        await self._run(requests, items, requests.write, ledger.wrote)

    async def read(self, requests: ManyEntries, keys: Iterable[str], ledger: Ledger) -> None:
        """Read `keys`, each until it is answered, and check the answers."""
        await self._run(requests, keys, requests.read, ledger.check)

    async def _run(
        self,
        requests: ManyEntries,
        items: Iterable[_T],
        ask: Callable[[list[_T]], Awaitable[Sequence[Result]]],
        settle: Callable[[_T, Result], None],
    ) -> None:
        async def work() -> None:
            for batch in batches:
                await self._ask_until_settled(batch, ask, settle)

        batches = _batches(items, requests.entries)
        began = self._last_answer_at = time.perf_counter()
        try:
            await together(work() for _ in range(requests.in_flight))
        finally:
            self.seconds = time.perf_counter() - began

    async def _ask_until_settled(
        self,
        batch: list[_T],
        ask: Callable[[list[_T]], Awaitable[Sequence[Result]]],
        settle: Callable[[_T, Result], None],
    ) -> None:
        give_up_at = time.perf_counter() + _GIVE_UP_S
        while batch:
            began = time.perf_counter()
            again = []
            for item, result in zip(batch, await ask(batch), strict=True):
                if self._is_to_be_repeated(result, give_up_at):
                    again.append(item)
                else:
                    settle(item, result)
            self._answered(began, len(batch) - len(again))
            if again:
                await asyncio.sleep(_PAUSE_S)
            batch = again

    def _is_to_be_repeated(self, result: Result, give_up_at: float) -> bool:
        if not isinstance(result, UnavailableError | ProtocolError):
            return False
        if time.perf_counter() > give_up_at:
            raise result
        if result.outcome == "unknown":
            self.unknown += 1
        else:
            self.unserved += 1
        return True

    def _answered(self, began: float, entries: int) -> None:
        now = time.perf_counter()
        self.latencies.record(int((now - began) * 1e9))
        if entries:
            self.longest_silence_s = max(self.longest_silence_s, now - self._last_answer_at)
            self._last_answer_at = now
        self.entries += entries
        self._on_progress(self.entries)


def _batches(items: Iterable[_T], size: int) -> Iterator[list[_T]]:
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
