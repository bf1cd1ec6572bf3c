"""Progress bars on stderr, one a node, where somebody looks at them; elsewhere nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

Show = Callable[[str, int, int], None]
"""(node, bytes done, bytes in all)"""


@contextmanager
def node_bars(what: str, nodes: Sequence[str]) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        tasks = {node: progress.add_task(f"{what} {node}", total=None) for node in nodes}

        def show(node: str, done: int, total: int) -> None:
            progress.update(tasks[node], completed=done, total=total or None)

        yield show
