"""`kvorum status --watch`: how all nodes fare, again and again, with rates per second.

Rates are differences of the nodes' own counters between two looks. On a terminal the table stays in
its place; in a pipe each look is a block of its own, or a line of JSON.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from kvorum.cli.every_node import EveryNode, on_every_node
from kvorum.cli.output import print_json, print_records
from kvorum.client.each_node import outcomes_of
from kvorum.client.requests import status as status_request
from kvorum.client.url import Target
from kvorum.documents.reading import read
from kvorum.documents.status import Status
from kvorum.model.errors import KvorumError
from kvorum.model.sizes import format_size

SILENT: Final = "no answer"


class NodeLook(msgspec.Struct, frozen=True, kw_only=True):
    """How one node fares. Rates are None where there is no earlier look to compare with, as before
    the first one and after a restart.
    """

    node: str
    state: str
    requests_per_s: float | None = None
    reads_per_s: float | None = None
    writes_per_s: float | None = None
    repairs_per_s: float | None = None
    connections: int | None = None
    under_way: int | None = None
    hints_waiting: int | None = None
    unflushed: int | None = None
    sync_p99_ms: float | None = None
    disk_free_bytes: int | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes of a cluster at a moment (`at_ms`, since 1970)."""

    at_ms: int
    nodes: list[NodeLook]


Show = Callable[[Look], object]


class Watcher:
    """Looks at the nodes, and remembers their counters from one look to the next."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now`: monotonic seconds."""
        self._now = now
        self._before: dict[str, tuple[float, Status]] = {}

    def look(self, answers: dict[str, Status | None]) -> Look:
        """What `answers` say, by node; None for a node that gave none."""
        now = self._now()
        nodes = [self._node(name, status, now) for name, status in answers.items()]
        self._before = {
            name: (now, status) for name, status in answers.items() if status is not None
        }
        return Look(at_ms=time.time_ns() // 1_000_000, nodes=nodes)

    def _node(self, name: str, status: Status | None, now: float) -> NodeLook:
        if status is None:
            return NodeLook(node=name, state=SILENT)
        rate = self._rates(name, status, now)
        journal = status.resources.journal if status.resources else None
        disk = status.resources.disk if status.resources else None
        return NodeLook(
            node=name,
            state="recovering" if status.recovering else "up",
            requests_per_s=rate(lambda of: of.connections.responses if of.connections else 0),
            reads_per_s=rate(lambda of: of.counters.get("reads", 0)),
            writes_per_s=rate(lambda of: of.counters.get("writes", 0)),
            repairs_per_s=rate(_repairs),
            connections=status.connections.open if status.connections else None,
            under_way=status.operations,
            hints_waiting=sum(node.hints_owed for node in status.nodes),
            unflushed=journal.unflushed if journal else None,
            sync_p99_ms=journal.sync_p99_ms if journal else None,
            disk_free_bytes=disk.free_bytes if disk else None,
        )

    def _rates(
        self, name: str, status: Status, now: float
    ) -> Callable[[Callable[[Status], int]], float | None]:
        """The rate per second of a counter since the last look."""
        at, before = self._before.get(name, (now, None))

        def rate(counter: Callable[[Status], int]) -> float | None:
            if before is None or now <= at or before.uptime_s > status.uptime_s:
                return None
            return round((counter(status) - counter(before)) / (now - at), 1)

        return rate


def _repairs(status: Status) -> int:
    counters = status.counters
    return sum(counters.get(name, 0) for name in ("repairs", "anti_entropy_repairs"))


def watch_status(target: Target, every_s: float, output: str) -> None:
    """Show how the nodes fare each `every_s` seconds, until Ctrl-C."""
    try:
        if output == "table" and sys.stdout.isatty():
            _watch_on_terminal(target, every_s)
        else:
            show = print_json if output == "json" else _print
            on_every_node(target, lambda nodes: _watch(nodes, every_s, show))
    except KeyboardInterrupt:
        return  # This is how it ends.


async def _watch(nodes: EveryNode, every_s: float, show: Show) -> None:
    watcher = Watcher()
    while True:
        answers = await outcomes_of(nodes.names, lambda name: nodes.ask_one(name, status_request()))
        statuses = {
            name: None if isinstance(answer, KvorumError) else read(answer, Status)
            for name, answer in answers.items()
        }
        show(watcher.look(statuses))
        sys.stdout.flush()
        await asyncio.sleep(every_s)


def _watch_on_terminal(target: Target, every_s: float) -> None:
    from rich.console import Group
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    with Live(Text(f"asking {', '.join(map(str, target.servers))}"), auto_refresh=False) as live:

        def show(look: Look) -> None:
            records = _records(look)
            table = Table(box=None, pad_edge=False, header_style="dim")
            for name in records[0]:
                justify = "right" if name.startswith("#") else "left"
                table.add_column(name.removeprefix("#"), justify=justify)  # type: ignore[arg-type]
            for record in records:
                table.add_row(*(Text(str(cell)) for cell in record.values()))
            title = Text(f"{_title(look)}, every {every_s:g} s (Ctrl-C ends it)", "bold")
            live.update(Group(title, table), refresh=True)

        on_every_node(target, lambda nodes: _watch(nodes, every_s, show))


def _print(look: Look) -> None:
    print_records(_title(look), _records(look))


def _title(look: Look) -> str:
    up = sum(node.state != SILENT for node in look.nodes)
    moment = time.strftime("%H:%M:%S", time.localtime(look.at_ms / 1000))
    return f"{moment}, {up} of {len(look.nodes)} nodes answer"


def _records(look: Look) -> list[dict[str, object]]:
    return [
        {
            "node": node.node,
            "state": node.state,
            "#requests/s": _number(node.requests_per_s),
            "#reads/s": _number(node.reads_per_s),
            "#writes/s": _number(node.writes_per_s),
            "#repairs/s": _number(node.repairs_per_s),
            "#connections": _number(node.connections),
            "#under way": _number(node.under_way),
            "#hints": _number(node.hints_waiting),
            "#unflushed": _number(node.unflushed),
            "#sync ms (99%)": _number(node.sync_p99_ms),
            "#disk free": "" if node.disk_free_bytes is None else format_size(node.disk_free_bytes),
        }
        for node in look.nodes
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
