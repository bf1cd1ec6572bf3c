"""An import that keeps versions: lines of records, checked, counted, and stored as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kvorum.cli.checkpoint import Progress
from kvorum.cli.entry_import import Plan, TooManyRejected
from kvorum.cli.entry_lines import Place, Reject
from kvorum.cli.record_store import Placed, RecordStore
from kvorum.client.asynchronous import AsyncClient


class _Mark(NamedTuple):
    place: Place
    rejected: int


class RecordImport:
    """One run over the lines behind `done`. The callbacks are told of it as it goes."""

    def __init__(
        self,
        client: AsyncClient,
        plan: Plan,
        done: Progress,
        on_reject: Callable[[Reject], None],
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.done = done
        self._plan = plan
        self._on_reject = on_reject
        self._on_progress = on_progress
        self._rejected = done.rejected
        self._store = RecordStore(client, plan.w, plan.patience_s, self._on_stored)

    async def run(self, lines: Iterator[Placed | Reject]) -> None:
        """Raises TooManyRejected, or what the cluster still says when patience has ended."""
        await self._store.run(self._sound(lines))
        if self._rejected > self.done.rejected:
            self._report(self.done.place, self.done.stored, self._rejected)

    def _sound(self, lines: Iterator[Placed | Reject]) -> Iterator[Placed]:
        for line in lines:
            if isinstance(line, Placed):
                yield Placed(_Mark(line.mark, self._rejected), line.record)
            else:
                self._reject(line)

    def _reject(self, line: Reject) -> None:
        self._rejected += 1
        self._on_reject(line)
        most = self._plan.max_rejected
        if most is not None and self._rejected > most:
            raise TooManyRejected(f"wanted at most {most} rejected lines, got one more")

    def _on_stored(self, mark: _Mark, stored: int) -> None:
        self._report(mark.place, self.done.stored + stored, mark.rejected)

    def _report(self, place: Place, stored: int, rejected: int) -> None:
        self.done = Progress(place.offset, place.line, stored, rejected)
        self._on_progress(self.done)
