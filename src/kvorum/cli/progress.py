"""Progress bars on stderr, where somebody looks at them; elsewhere nothing.

    progress_bar      bytes of a file, and the entries in them
    share_bar         parts of a whole, and the records in them
    number_bar        partitions compared and records repaired; seeds run and those that failed
    node_bars         bytes, a bar a node
    node_share_bars   parts of a whole, a bar a node

They vanish when the work is done: what came of it is on stdout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import click

from kvorum.cli.output import stderr_console

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, TaskID

ShowNode = Callable[[str, int, int], None]
"""(node, done, in all)"""


class Bar:
    """One progress bar: how much is done, and a count beside it."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, completed: float, count: int) -> None:
        """`completed` of the total, in its unit, and how many things are counted beside it."""
        self._progress.update(self._task, completed=completed, count=count)

    def say(self, line: str) -> None:
        """A line above the bar."""
        if self._progress.disable:
            click.echo(line, err=True)
        else:
            self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(what: str, total_bytes: int | None) -> Iterator[Bar]:
    """Of bytes, if their total is known, and of entries."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        SpinnerColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    measure: tuple[ProgressColumn, ...] = (SpinnerColumn(), TimeElapsedColumn())
    if total_bytes is not None:
        measure = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with _on_terminal(*measure, _counted("entries")) as progress:
        yield Bar(progress, progress.add_task(what, total=total_bytes, count=0))


@contextmanager
def share_bar(what: str, total: float, counted: str = "records") -> Iterator[Bar]:
    """Of parts of a whole, shown as a percentage, and of the things that are `counted`."""
    from rich.progress import BarColumn, TaskProgressColumn, TimeRemainingColumn

    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), _counted(counted))
    with _on_terminal(*columns) as progress:
        yield Bar(progress, progress.add_task(what, total=total, count=0))


@contextmanager
def number_bar(what: str, total: int, counted: str, *, shown: bool = True) -> Iterator[Bar]:
    """Of things that are done one by one, and of those that are `counted` beside them."""
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), _counted(counted), TimeRemainingColumn())
    with _on_terminal(*columns, shown=shown) as progress:
        yield Bar(progress, progress.add_task(what, total=total, count=0))


def node_bars(what: str, nodes: Sequence[str]) -> AbstractContextManager[ShowNode]:
    from rich.progress import DownloadColumn

    return _node_bars(what, nodes, DownloadColumn())


def node_share_bars(what: str, nodes: Sequence[str]) -> AbstractContextManager[ShowNode]:
    from rich.progress import TaskProgressColumn

    return _node_bars(what, nodes, TaskProgressColumn())


@contextmanager
def _node_bars(what: str, nodes: Sequence[str], measure: ProgressColumn) -> Iterator[ShowNode]:
    from rich.progress import BarColumn

    with _on_terminal(BarColumn(), measure) as progress:
        tasks = {node: progress.add_task(f"{what} {node}", total=None) for node in nodes}

        def show(node: str, done: int, total: int) -> None:
            progress.update(tasks[node], completed=done, total=total or None)

        yield show


def _on_terminal(*columns: ProgressColumn, shown: bool = True) -> Progress:
    """Bars that say what they are about, then `columns`; gone when they are done."""
    from rich.progress import Progress, TextColumn

    console = stderr_console()
    about = TextColumn("{task.description}", markup=False)
    hidden = not (shown and console.is_terminal)
    return Progress(about, *columns, console=console, transient=True, disable=hidden)


def _counted(things: str) -> ProgressColumn:
    from rich.progress import TextColumn

    return TextColumn(f"{{task.fields[count]:,}} {things}")
