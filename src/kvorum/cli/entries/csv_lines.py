"""Files of entries in CSV, read row by row.

A header names the columns; one is the key. If there is just one other and it is called "value",
its cells are the values, else each row becomes an object of its other columns. Columns at the end
of the header that have no name, as spreadsheets write them, are ignored, and must be empty.

The delimiter is the one of , ; tab and | that makes the key's column one of the header's, unless it
is given.

A row that is no entry comes out as a Reject, as a whole, however many lines it has.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from typing import IO, Any, Final, NamedTuple

import msgspec

from kvorum.cli.bulk.items import START, Item, Place, Reject
from kvorum.cli.entries.complaints import plain_words
from kvorum.cli.entries.csv_rows import Row, read_rows
from kvorum.cli.entries.entry_lines import LINE_BYTES_MAX, Lines
from kvorum.model.errors import ConfigError

DEFAULT_KEY_COLUMN: Final = "key"
_VALUE_COLUMN: Final = "value"
_DELIMITERS: Final = ",;\t|"
_NAMES: Final = {"\t": "a tab"}
_NAMES_SHOWN: Final = 8
_CELL_SHOWN: Final = 40


class CsvShape(NamedTuple):
    """How the cells of a CSV file become entries."""

    key_column: str = DEFAULT_KEY_COLUMN
    typed: bool = False
    """Cells that read as JSON numbers, true, false or null become those; else all are strings."""
    delimiter: str | None = None
    """An ASCII character; None to find it in the header."""


class _Header(NamedTuple):
    """The first row of a file. `width`: of the columns, also those at the end that have no name."""

    names: list[str]
    width: int
    delimiter: str
    end: Place


def read_csv(stream: IO[bytes], shape: CsvShape, place: Place = START) -> Lines:
    """The entries of `stream`, which must be seekable if `place` is not the start. Raises
    ConfigError if the header does not fit `shape`."""
    csv.field_size_limit(LINE_BYTES_MAX)
    header = _read_header(stream, shape)
    if place == START:
        place = header.end
    else:
        stream.seek(place.offset)
    to_value = _row_reader(header.names, shape)
    key_at = header.names.index(shape.key_column)
    for row in read_rows(stream, header.delimiter.encode(), place):
        try:
            cells = _cells(row, header.delimiter)
            if cells:
                _check_width(cells, header)
                yield Item(row.first, row.end, cells[key_at], to_value(cells))
        except (ValueError, csv.Error) as error:
            yield Reject(row.first, row.end, plain_words(error, b""))


def _cells(row: Row, delimiter: str) -> list[str]:
    """None at all if the line is blank. Raises ValueError or csv.Error."""
    if row.is_open:
        raise ValueError(
            "A quote that opens a cell of this row is never closed, so all lines down to "
            f"{row.end.line}, the last one of the file, belong to the row; close the quote."
        )
    if row.text is None:
        raise ValueError(f"The row is longer than {LINE_BYTES_MAX} bytes; shorten it.")
    at = row.text.find(0)
    if at >= 0:
        raise ValueError(f"The byte 0x00 {_whereabouts(row, row.text, at)} belongs to no text.")
    try:
        text = row.text.decode()
    except UnicodeDecodeError as error:
        byte = row.text[error.start]
        where = _whereabouts(row, row.text, error.start)
        raise ValueError(f"The byte 0x{byte:02x} {where} is not UTF-8.") from error
    return next(csv.reader([text], delimiter=delimiter, strict=True), [])


def _whereabouts(row: Row, text: bytes, at: int) -> str:
    begin = text.rfind(b"\n", 0, at) + 1
    return f"at place {at - begin + 1} of line {row.first + text[:begin].count(10)}"


def _read_header(stream: IO[bytes], shape: CsvShape) -> _Header:
    """Raises ConfigError."""
    candidates = _DELIMITERS if shape.delimiter is None else shape.delimiter
    row = next(read_rows(stream, candidates.encode(), START), None)
    if row is None:
        raise ConfigError("The file is empty; a CSV file begins with the names of its columns.")
    delimiter = shape.delimiter or _delimiter(row, shape.key_column)
    cells = _header_cells(row, delimiter)
    names = list(cells)
    while names and not names[-1]:
        names.pop()
    if shape.key_column not in names:
        raise ConfigError(
            f"No column is called {shape.key_column!r}, which is to hold the keys; the columns are "
            f"{', '.join(names) or '(none)'}. Name it with --key-column, or say with --delimiter "
            "what is between the columns."
        )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"Two columns are called {twice!r}; rename one of them in the header.")
    return _Header(names, len(cells), delimiter, row.end)


def _delimiter(row: Row, key_column: str) -> str:
    """Raises ConfigError where more than one fits."""
    found = {one: _cells_if_any(row, one) for one in _DELIMITERS}
    fitting = [one for one, cells in found.items() if key_column in cells and len(cells) > 1]
    if len(fitting) > 1:
        named = " or ".join(_NAMES.get(one, repr(one)) for one in fitting)
        raise ConfigError(
            f"The columns of the header may be separated by {named}; name one with --delimiter."
        )
    return fitting[0] if fitting else max(_DELIMITERS, key=lambda one: len(found[one]))


def _cells_if_any(row: Row, delimiter: str) -> list[str]:
    try:
        return _cells(row, delimiter)
    except (ValueError, csv.Error):
        return []


def _header_cells(row: Row, delimiter: str) -> list[str]:
    """Raises ConfigError."""
    try:
        return _cells(row, delimiter)
    except (ValueError, csv.Error) as error:
        raise ConfigError(
            f"Line {row.first} is no header of column names: {plain_words(error, b'')}"
        ) from error


def _row_reader(names: list[str], shape: CsvShape) -> Callable[[Sequence[str]], msgspec.Raw]:
    """What makes a value of a row."""
    cell = _typed if shape.typed else _string
    others = [(at, name) for at, name in enumerate(names) if name != shape.key_column]
    if [name for _, name in others] == [_VALUE_COLUMN]:
        only = others[0][0]
        return lambda cells: _json(cell(cells[only]))
    return lambda cells: _json({name: cell(cells[at]) for at, name in others})


def _json(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _check_width(cells: Sequence[str], header: _Header) -> None:
    """Raises ValueError."""
    named = len(header.names)
    if not named <= len(cells) <= header.width:
        names = ", ".join(header.names[:_NAMES_SHOWN])
        more = ", ..." if named > _NAMES_SHOWN else ""
        raise ValueError(
            f"The row has {len(cells)} cells, but the header {header.width} ({names}{more})."
        )
    for number, cell in enumerate(cells[named:], named + 1):
        if cell:
            raise ValueError(
                f"Cell {number} is {cell[:_CELL_SHOWN]!r}, but its column has no name; name it in "
                "the header, or empty the cell."
            )


def _string(cell: str) -> Any:
    return cell


def _typed(cell: str) -> Any:
    try:
        value = msgspec.json.decode(cell, type=msgspec.Raw)
    except msgspec.DecodeError:
        return cell
    return cell if bytes(value).startswith((b'"', b"[", b"{")) else value
