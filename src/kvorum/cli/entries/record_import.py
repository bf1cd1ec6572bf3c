"""An import that keeps versions: lines of records, checked, counted, and stored as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from kvorum.cli.entries.checkpoint import Progress
from kvorum.cli.entries.entry_import import Plan
from kvorum.cli.entries.entry_lines import Place, Reject
from kvorum.cli.entries.record_store import Placed, RecordStore
from kvorum.cli.entries.rejections import Rejections
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
        self._on_progress = on_progress
        self._rejections = Rejections(done.rejected, plan.max_rejected, on_reject)
        self._store = RecordStore(client, plan.w, plan.patience_s, self._on_stored)

    async def run(self, lines: Iterator[Placed | Reject]) -> None:
        """Raises TooManyRejected, or what the cluster still says when patience has ended."""
        await self._store.run(self._sound(lines))
        if self._rejections.count > self.done.rejected:
            self._report(self.done.place, self.done.stored, self._rejections.count)

    def _sound(self, lines: Iterator[Placed | Reject]) -> Iterator[Placed]:
        for line in lines:
            if isinstance(line, Placed):
                yield Placed(_Mark(line.mark, self._rejections.count), line.record)
            else:
                self._rejections.add(line)

    def _on_stored(self, mark: _Mark, stored: int) -> None:
        self._report(mark.place, self.done.stored + stored, mark.rejected)

    def _report(self, place: Place, stored: int, rejected: int) -> None:
        self.done = Progress(place.offset, place.line, stored, rejected)
        self._on_progress(self.done)
