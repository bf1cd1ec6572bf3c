"""How `kvorum demo` is shown: a bar for each stretch of traffic, and the summary.

The bars go when all is over: the summary has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from kvorum.cli.output import print_table, stderr_console
from kvorum.demo.audience import Audience
from kvorum.demo.characters import ENTRIES_OF_EACH
from kvorum.demo.report import Phase, Report
from kvorum.demo.traffic import Traffic


@contextmanager
def screen() -> Iterator[Audience]:
    """What fits stderr."""
    console = stderr_console()
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description:18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", style="cyan"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bars(progress)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console

    def hear(self, text: str) -> None:
        _say(self._console, text)

    def begin(self, title: str, entries: int) -> Callable[[int], object]:
        _say(self._console, f"{title}: {entries:,} entries")
        return lambda _: None

    def end(self, traffic: Traffic) -> None:
        _say(self._console, f"{traffic.name}: done")


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def hear(self, text: str) -> None:
        _say(self._progress.console, text)

    def begin(self, title: str, entries: int) -> Callable[[int], object]:
        task = self._tasks[title] = self._progress.add_task(title, total=entries, rate="")
        return lambda done: self._progress.update(task, completed=done)

    def end(self, traffic: Traffic) -> None:
        self._progress.update(self._tasks[traffic.name], rate=_rate(traffic.per_second))


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}/s"


def print_summary(report: Report) -> None:
    print_table(
        f"{report.entries:,} entries, {ENTRIES_OF_EACH} for each of "
        f"{report.entries // ENTRIES_OF_EACH:,} characters of Unicode {report.unicode}",
        ("phase", "#entries", "#seconds", "#entries/s", "#p50 ms", "#p95 ms", "#p99 ms"),
        map(_row, report.phases),
    )
    click.secho(
        f"lost: {report.lost:,}   mismatched: {report.mismatched:,}   "
        f"checked: {report.checked:,} reads against what was written",
        fg="green" if report.ok else "red",
        bold=True,
    )
    click.echo(
        f"repeated until acknowledged: {report.unknown_repeated:,} writes of unknown outcome, "
        f"{report.unserved_repeated:,} requests that had no effect\n"
        f"{report.seconds:.1f} seconds in all; latencies are per request"
    )


def _row(phase: Phase) -> tuple[str, ...]:
    latency = phase.latency_ms
    return (
        phase.name,
        f"{phase.entries:,}",
        f"{phase.seconds:.1f}",
        f"{phase.per_second:,.0f}",
        *(f"{ms:.1f}" for ms in (latency.p50, latency.p95, latency.p99)),
    )
