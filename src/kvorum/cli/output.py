"""What commands print: tables for people, JSON for programs.

Tables go through rich, which leaves colours out where NO_COLOR says so. Nor are there any where
nobody is looking: with FORCE_COLOR, or what else rich listens to, they would get into pipes.
Text from a cluster is never read as markup and cannot steer the terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import click

from kvorum.cli.errors import one_line
from kvorum.cli.table_folding import GAP, column_widths, folded, total_width

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

output_option: Final = click.option(
    "-o",
    "--output",
    type=click.Choice(("table", "json")),
    default="table",
    help="A table for people, or JSON for programs.",
)


def print_json(value: Any) -> None:
    """One line of JSON; a msgspec.Raw inside `value` stands for itself."""
    import msgspec

    click.echo(msgspec.json.encode(value))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; columns whose name begins with '#' hold numbers, put to the right."""
    from rich.console import Console
    from rich.text import Text

    header = [column.removeprefix("#") for column in columns]
    body = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = column_widths([header, *body])
    # Where no terminal sets a width, nothing is folded.
    looking = sys.stdout.isatty()
    room = Console().width if looking else total_width(widths)
    console = Console(width=max(room, 1), highlight=False, force_terminal=looking)
    console.print(Text(one_line(title), "bold"), soft_wrap=True)
    for number, places in enumerate(folded(widths, room)):
        if number:
            console.print()
        console.print(_table(places, columns, body))


def print_result(
    output: str, document: Any, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Print `document` as JSON for programs, or the table for people."""
    if output == "json":
        print_json(document)
    else:
        print_table(title, columns, rows)


def print_records(title: str, records: Sequence[dict[str, object]]) -> None:
    """Print a table whose rows, one at least, name their cells; see `print_table`."""
    print_table(title, list(records[0]), [list(record.values()) for record in records])


def _table(places: list[int], columns: Sequence[str], body: list[list[str]]) -> Table:
    """The columns at `places`, side by side."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="dim")
    for place in places:
        number = columns[place].startswith("#")
        name = columns[place].removeprefix("#")
        table.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(row[place]) for place in places))
    return table


def stderr_console() -> Console:
    """For what is told beside the output, to whoever looks at a terminal."""
    from rich.console import Console

    # None where the program was started without it.
    stderr = cast("TextIO | None", sys.stderr)
    return Console(stderr=True, force_terminal=stderr is not None and stderr.isatty())


def note(text: str, as_json: bool) -> None:
    """Tell the user something beside the result, in a line on stderr."""
    click.echo(json.dumps({"note": text}) if as_json else f"note: {one_line(text)}", err=True)


def printable(text: str) -> str:
    """`text` for whoever reads stdout: as it is into a pipe, harmless on a terminal."""
    if not sys.stdout.isatty():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )
