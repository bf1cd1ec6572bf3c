"""A progress bar on stderr, where somebody looks at it; elsewhere nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def show(self, completed: int, count: int) -> None:
        """`completed` of the total, in its unit, and `count` entries."""
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
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    measure: tuple[ProgressColumn, ...] = (SpinnerColumn(), TimeElapsedColumn())
    if total_bytes is not None:
        measure = (BarColumn(), DownloadColumn(), TimeRemainingColumn())
    columns = (
        TextColumn("{task.description}", markup=False),
        *measure,
        TextColumn("{task.fields[count]:,} entries"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Bar(progress, progress.add_task(what, total=total_bytes, count=0))
