"""The rows of a CSV file, as bytes: which lines belong together.

A line break within quotes belongs to its cell, so a row may be several lines. Where it ends is
found out before anything of it is decoded or parsed, also if it turns out to be wrong. Otherwise
reading would go on within a quoted cell, and take its text for rows.

In a row that is malformed a quote counts as one that opens a cell wherever a cell can begin, also
behind a carriage return. Quotes within a quoted cell that were not doubled mostly come in pairs
("he said "yes" to"), so behind one of them the next one opens the cell again. Of a single one
nobody can tell whether it ended the cell.

(RFC 4180, "Common Format and MIME Type for Comma-Separated Values Files", section 2.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import IO, Final, NamedTuple

from kvorum.cli.bulk.items import Place
from kvorum.cli.entries.entry_lines import BOM, LINE_BYTES_MAX

QUOTE: Final = b'"'


class Row(NamedTuple):
    """A row as it stands in the file, from line `first` to `end`. `text` is None if it is too
    long to be kept. `is_open`: the file ends within quotes."""

    first: int
    end: Place
    text: bytes | None
    is_open: bool


class _At(Enum):
    START = auto()
    """of a cell, where a quote opens it"""
    CELL = auto()
    """in a cell without quotes"""
    QUOTED = auto()
    CLOSING = auto()
    """behind a quote in a quoted cell: its end, or the first of two that stand for one"""
    LOOSE = auto()
    """in text behind a quote that should have been a cell's end, where another opens it again"""


class _Quotes:
    """Follows the quotes of a file, piece by piece."""

    def __init__(self, delimiters: bytes) -> None:
        self._at = _At.START
        self._ends = re.compile(b"[" + re.escape(delimiters) + rb"\r\n]")
        self._quotes_or_ends = re.compile(b"[" + QUOTE + re.escape(delimiters) + rb"\r\n]")

    @property
    def are_open(self) -> bool:
        return self._at is _At.QUOTED

    def feed(self, piece: bytes) -> None:
        if self._at is _At.START and QUOTE not in piece and piece.endswith(b"\n"):
            return
        place = 0
        while place < len(piece):
            place = self._step(piece, place)

    def _step(self, piece: bytes, place: int) -> int:
        """From `place` on to where the state changes."""
        if self._at is _At.QUOTED:
            found = piece.find(QUOTE, place)
            if found < 0:
                return len(piece)
            self._at = _At.CLOSING
            return found + 1
        if self._at is not _At.CELL and piece[place : place + 1] == QUOTE:
            self._at = _At.QUOTED
            return place + 1
        is_closed = self._at is _At.CLOSING or self._at is _At.LOOSE
        end = (self._quotes_or_ends if is_closed else self._ends).search(piece, place)
        if end is None:
            self._at = _At.LOOSE if is_closed else _At.CELL
            return len(piece)
        if end[0] == QUOTE:
            self._at = _At.LOOSE
            return end.start()
        self._at = _At.START
        return end.end()


def read_rows(stream: IO[bytes], delimiters: bytes, place: Place) -> Iterator[Row]:
    """The rows of `stream` from `place` on, to which it is positioned, in bounded memory. Any of
    the bytes `delimiters` ends a cell."""
    quotes = _Quotes(delimiters)
    offset, line = place
    while True:
        first, text, size = line + 1, bytearray(), 0
        while piece := stream.readline(LINE_BYTES_MAX):
            size += len(piece)
            if size == len(piece) and not offset:
                piece = piece.removeprefix(BOM)
            if size <= LINE_BYTES_MAX:
                text += piece
            quotes.feed(piece)
            begun = not piece.endswith(b"\n")
            line += not begun
            if not begun and not quotes.are_open:
                break
        if not size:
            return
        offset += size
        end = Place(offset, line + begun)
        yield Row(first, end, bytes(text) if size <= LINE_BYTES_MAX else None, quotes.are_open)
