"""A progress bar over what comes in the order of tokens: they are spread evenly, so the place of
the last one says how much is done, though nobody has counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from kvorum.cli.progress import Bar

_STEPS: Final = 10_000
_PLACE_BYTES: Final = 9


def steps_to(place: bytes) -> int:
    """How many steps of the bar are done at `place`: a letter and eight bytes of a token."""
    if len(place) != _PLACE_BYTES:
        return 0
    return int.from_bytes(place[1:]) * _STEPS >> 64


@contextmanager
def token_bar(what: str) -> Iterator[Bar]:
    """On stderr, where somebody looks at it; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[count]:,} records"),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield Bar(progress, progress.add_task(what, total=_STEPS, count=0))
