"""What commands print: tables for people, JSON for programs.

Tables go through rich, which leaves colours out where NO_COLOR says so or nobody is looking.
Text from a cluster is never read as markup and cannot steer the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import click

from kvorum.cli.errors import one_line

_PIPED_WIDTH: Final = 250
"""Where no terminal sets a width, rows should not be folded."""

_Command = TypeVar("_Command", bound=Callable[..., Any])

output_option: Final[Callable[[_Command], _Command]] = click.option(
    "-o",
    "--output",
    type=click.Choice(("table", "json")),
    default="table",
    show_default=True,
    help="For people or for programs.",
)


def print_json(value: Any) -> None:
    """One line of JSON; a msgspec.Raw inside `value` stands for itself."""
    import msgspec

    click.echo(msgspec.json.encode(value))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns whose name begins with '#' hold numbers, to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        right = column.startswith("#")
        table.add_column(column.removeprefix("#"), justify="right" if right else "left")
    for row in rows:
        table.add_row(*(Text(one_line(str(cell))) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH, highlight=False)
    console.print(Text(one_line(title), "bold"), table, sep="\n")


def printable(text: str) -> str:
    """`text` for whoever reads stdout: as it is into a pipe, harmless on a terminal."""
    if not sys.stdout.isatty():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
