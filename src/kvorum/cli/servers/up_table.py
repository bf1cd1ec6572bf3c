"""The live view of `kvorum up`: a line for each change, and a table kept up to date below.

Rates are differences of the nodes' own counters, asked of each node once a second. Where the
terminal is too narrow for the table its last columns are left out, until there is room again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kvorum.cli.servers.up_view import Teller
from kvorum.cli.table_folding import GAP, column_widths, folded
from kvorum.client.asynchronous import AsyncClient, connect
from kvorum.devcluster.events import Died, Event, Ready, Starting, Stopped
from kvorum.model.errors import KvorumError
from kvorum.model.topology import NodeSpec, Topology

_EVERY_S: Final = 1.0
_COLUMNS: Final = (
    *("node", "state", "address"),
    *("pid", "writes/s", "reads/s", "to catch up", "damaged", "restarts"),
)
_TEXTS: Final = 3
"""Of the columns, how many are no numbers."""

_STYLES: Final = {"up": "green", "starting": "yellow", "down": "red", "stopped": "dim"}


@dataclass(slots=True)
class Row:
    """What the table shows of one node."""

    spec: NodeSpec
    state: str = "starting"
    pid: int = 0
    restarts: int = 0
    writes_per_s: float | None = None
    reads_per_s: float | None = None
    missing: int = 0
    """Writes that other nodes keep for it."""
    damaged: int = 0
    """Records that it cannot read, until a sound copy replaces them."""
    damaged_files: int = 0

    def hear(self, event: Event) -> None:
        match event:
            case Starting():
                self.state, self.pid = "starting", event.pid
            case Ready():
                self.state = "up"
            case Died():
                self.state = "down"
                self.restarts += 1
            case Stopped():
                self.state = "stopped"


class _Gauge:
    """Asks one node for its counters, and makes rates of them."""

    def __init__(self, row: Row, url: str) -> None:
        self._row = row
        self._client: AsyncClient = connect(url)
        self._asked_at = 0.0
        self._counters: dict[str, int] = {}

    async def read(self) -> dict[str, Any] | None:
        """The node's status, or None if it does not answer."""
        try:
            status = await self._client.status(timeout=_EVERY_S)
        except KvorumError:
            self._counters = {}
            self._row.writes_per_s = self._row.reads_per_s = None
            return None
        now, counters = time.monotonic(), status["counters"]
        self._row.writes_per_s = self._rate("writes", counters, now)
        self._row.reads_per_s = self._rate("reads", counters, now)
        self._asked_at, self._counters = now, counters
        storage = status["storage"]
        quarantine = storage["quarantine"]
        self._row.damaged = quarantine["damaged"] + quarantine["more"]
        self._row.damaged_files = len(storage["damaged_files"])
        return status

    async def close(self) -> None:
        await self._client.close()

    def _rate(self, name: str, counters: dict[str, int], now: float) -> float | None:
        former = self._counters.get(name)
        if former is None or former > counters[name]:
            return None
        return (counters[name] - former) / (now - self._asked_at)


class LiveView:
    """The view for people at a terminal: lines of changes above a live table."""

    def __init__(self, topology: Topology, url_of: Callable[[NodeSpec], str]) -> None:
        """`url_of`: where a client finds a node, and what lets it in."""
        self._rows = {spec.name: Row(spec) for spec in topology.nodes}
        self._url_of = url_of
        self._teller = Teller()
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        with self._live:
            self._draw()
            yield

    def hear(self, event: Event) -> None:
        if (row := self._rows.get(getattr(event, "node", ""))) is not None:
            row.hear(event)
        if (line := self._teller.line_of(event)) is not None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._draw()

    async def keep_current(self) -> None:
        gauges = [_Gauge(row, self._url_of(row.spec)) for row in self._rows.values()]
        try:
            while True:
                self._note_missing(await asyncio.gather(*(gauge.read() for gauge in gauges)))
                self._draw()
                await asyncio.sleep(_EVERY_S)
        finally:
            await asyncio.gather(*(gauge.close() for gauge in gauges))

    def _note_missing(self, answers: list[dict[str, Any] | None]) -> None:
        owed = dict.fromkeys(self._rows, 0)
        for answer in filter(None, answers):
            for node in answer["nodes"]:
                owed[node["name"]] += node["hints_owed"]
        for name, row in self._rows.items():
            row.missing = owed[name]

    def _draw(self) -> None:
        self._live.update(table(self._rows.values(), self._console.width), refresh=True)


def table(rows: Iterable[Row], room: int) -> Table:
    """The first columns, as many as fit into `room`: it is drawn again and again in one place."""
    body = [_cells(row) for row in rows]
    places = folded(
        column_widths([_COLUMNS, *([cell.plain for cell in row] for row in body)]), room
    )[0]
    shown = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for place in places:
        justify: Literal["left", "right"] = "left" if place < _TEXTS else "right"
        shown.add_column(_COLUMNS[place], justify=justify, overflow="fold")
    for row in body:
        shown.add_row(*(row[place] for place in places))
    return shown


def _cells(row: Row) -> list[Text]:
    return [
        Text(row.spec.name),
        Text(row.state, style=_STYLES[row.state]),
        Text(f"http://{row.spec.http}"),
        Text(str(row.pid or "")),
        Text(_rate(row.writes_per_s)),
        Text(_rate(row.reads_per_s)),
        Text(f"{row.missing:,}"),
        _damage(row),
        Text(str(row.restarts)),
    ]


def _damage(row: Row) -> Text:
    files = f" + {row.damaged_files:,} files" if row.damaged_files else ""
    return Text(f"{row.damaged:,}{files}", style="red" if row.damaged or files else "")


def _rate(per_second: float | None) -> str:
    return "" if per_second is None else f"{per_second:,.0f}"
