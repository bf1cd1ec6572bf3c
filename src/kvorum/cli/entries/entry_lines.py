"""Files of entries, read line by line: JSON Lines and CSV.

JSON Lines: an object a line, shaped like an entry of the HTTP API.

    {"key": "U+1F600", "value": {"name": "GRINNING FACE"}}
    {"key": "logo", "value": "aGVsbG8=", "metadata": {"encoding": "base64"}}
    {"key": "cart", "value": [2], "siblings": [{"value": [2]}, {"value": [1]}]}
    {"key": "session", "value": 1, "metadata": {"ttl": 3600}}
    {"key": "session", "value": 1, "metadata": {"expiresAt": 1795379955530}}

CSV: a header names the columns; one is the key. If there is just one other and it is called
"value", its cells are the values, else each row becomes an object of its other columns.

A line that is no entry comes out as a Reject, and reading goes on behind it. Every line says
where it ends in the file, so that reading can start there again. Values stay the JSON text
they are.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, Final, NamedTuple

import msgspec

from kvorum.cli.entries.complaints import plain_words
from kvorum.client.requests import DEFAULT_LIFETIME, Lifetime
from kvorum.client.values import decode_value
from kvorum.model.errors import ConfigError, InvalidValue, RequestError
from kvorum.model.expiry import NEVER, check_expires, check_ttl

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
DEFAULT_KEY_COLUMN: Final = "key"
_VALUE_COLUMN: Final = "value"
_NAMES_SHOWN: Final = 8
_EXCERPT_BYTES: Final = 40


Value = msgspec.Raw | bytes
"""As the client takes it: JSON text, or bytes."""


class Timed(NamedTuple):
    value: Value
    lifetime: Lifetime = DEFAULT_LIFETIME


class Item(NamedTuple):
    """An entry to store. `siblings`, if there are any, include `value`, latest first."""

    line: int
    end: int
    key: str
    value: Value
    siblings: tuple[Timed, ...] = ()
    lifetime: Lifetime = DEFAULT_LIFETIME


class Reject(NamedTuple):
    line: int
    end: int
    reason: str


class Place(NamedTuple):
    """Where reading starts: behind `line` lines, which end at byte `offset`."""

    offset: int = 0
    line: int = 0


START: Final = Place()

Lines = Iterator[Item | Reject]


class _Metadata(msgspec.Struct, rename="camel"):
    encoding: str | None = None
    ttl: int | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: int | None = None


class _Sibling(msgspec.Struct, forbid_unknown_fields=True):
    value: msgspec.Raw
    metadata: _Metadata | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    value: msgspec.Raw
    metadata: _Metadata | None = None
    siblings: list[_Sibling] = []


_line: Final = msgspec.json.Decoder(_Line)


class _Source:
    """The lines of a binary stream as text, counted; a bad one is an error of its own."""

    def __init__(self, stream: IO[bytes], place: Place) -> None:
        self.line = place.line
        self.end = place.offset
        self._stream = stream

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        """Raises ValueError if the line is too long, and UnicodeDecodeError if it is not UTF-8."""
        data = self._stream.readline(LINE_BYTES_MAX + 1)
        if not data:
            raise StopIteration
        self.line += 1
        self.end += len(data)
        if len(data) > LINE_BYTES_MAX:
            self._skip_rest()
            raise ValueError(f"wanted a line of at most {LINE_BYTES_MAX} bytes, got a longer one")
        if self.line == 1:
            data = data.removeprefix(_BOM)
        return data.decode()

    def _skip_rest(self) -> None:
        while data := self._stream.readline(LINE_BYTES_MAX):
            self.end += len(data)
            if data.endswith(b"\n"):
                return


def read_json_lines(stream: IO[bytes], place: Place = START) -> Lines:
    """The entries of `stream` from `place` on, to which it is positioned."""
    source = _Source(stream, place)
    while True:
        text = ""
        try:
            text = next(source)
            if not text.isspace():
                yield _item(text, source)
        except StopIteration:
            return
        except (ValueError, RecursionError, RequestError) as error:
            yield Reject(source.line, source.end, plain_words(error, text.encode()))


def _item(text: str, source: _Source) -> Item:
    """Raises ValueError, RecursionError or RequestError."""
    found = _line.decode(text)
    value = _value(found.value, found.metadata)
    siblings = tuple(
        Timed(_value(one.value, one.metadata), _lifetime(one.metadata)) for one in found.siblings
    )
    if siblings and bytes(siblings[0].value) != bytes(value):
        raise ValueError("wanted siblings of which the first is the value, got another first")
    lifetime = _lifetime(found.metadata)
    return Item(source.line, source.end, found.key, value, siblings, lifetime)


def _lifetime(metadata: _Metadata | None) -> Lifetime:
    """Raises RequestError."""
    if metadata is None:
        return DEFAULT_LIFETIME
    ttl = None if metadata.ttl is msgspec.UNSET else metadata.ttl or NEVER
    if ttl is not None and metadata.expires_at is not None:
        raise RequestError("wanted ttl or expiresAt, got both")
    check_ttl(ttl)
    if metadata.expires_at is not None:
        check_expires(metadata.expires_at)
    return Lifetime(ttl, metadata.expires_at)


def _value(text: msgspec.Raw, metadata: _Metadata | None) -> Value:
    encoding = metadata.encoding if metadata else None
    if encoding is None:
        return text
    if encoding == "base64":
        return _from_base64(text)
    raise InvalidValue(f"wanted the encoding base64 or none, got {encoding!r}")


def _from_base64(text: msgspec.Raw) -> bytes:
    try:
        value: bytes = decode_value(bytes(text), binary=True)
    except InvalidValue as error:
        got = bytes(text)[:_EXCERPT_BYTES].decode(errors="replace")
        raise InvalidValue(f"wanted a value of base64 text, got {got}") from error
    return value


class CsvShape(NamedTuple):
    """How the cells of a CSV file become entries."""

    key_column: str = DEFAULT_KEY_COLUMN
    typed: bool = False
    """Cells that read as JSON numbers, true, false or null become those; else all are strings."""


def read_csv(stream: IO[bytes], shape: CsvShape, place: Place = START) -> Lines:
    """The entries of `stream`, which must be seekable if `place` is not the start.

    Raises ConfigError if the header does not fit `shape`.
    """
    csv.field_size_limit(LINE_BYTES_MAX)
    source = _Source(stream, START)
    header = _header(source, shape.key_column)
    if place != START:
        stream.seek(place.offset)
        source = _Source(stream, place)
    to_value = _row_reader(header, shape)
    key_at = header.index(shape.key_column)
    rows = csv.reader(source, strict=True)
    while True:
        line = source.line + 1
        try:
            cells = next(rows)
            if cells:
                _check_width(cells, header)
                yield Item(line, source.end, cells[key_at], to_value(cells))
        except StopIteration:
            return
        except (ValueError, csv.Error) as error:
            yield Reject(line, source.end, plain_words(error, b""))


def _header(source: _Source, key_column: str) -> list[str]:
    try:
        header = next(csv.reader(source, strict=True), [])
    except (ValueError, csv.Error) as error:
        raise ConfigError(
            f"line 1 is no header of column names: {plain_words(error, b'')}"
        ) from error
    if key_column not in header:
        raise ConfigError(
            f"wanted a column {key_column!r} for the keys, got the columns "
            f"{', '.join(header) or '(none)'}; say which it is by --key-column"
        )
    if len(set(header)) != len(header):
        raise ConfigError(f"wanted columns of different names, got {', '.join(header)}")
    return header


def _row_reader(header: list[str], shape: CsvShape) -> Callable[[Sequence[str]], msgspec.Raw]:
    """What makes a value of a row."""
    cell = _typed if shape.typed else _string
    others = [(at, name) for at, name in enumerate(header) if name != shape.key_column]
    if [name for _, name in others] == [_VALUE_COLUMN]:
        only = others[0][0]
        return lambda cells: _json(cell(cells[only]))
    return lambda cells: _json({name: cell(cells[at]) for at, name in others})


def _json(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _check_width(cells: Sequence[str], header: Sequence[str]) -> None:
    if len(cells) != len(header):
        names = ", ".join(header[:_NAMES_SHOWN])
        more = ", ..." if len(header) > _NAMES_SHOWN else ""
        raise ValueError(
            f"wanted {len(header)} cells as in the header ({names}{more}), got {len(cells)}"
        )


def _string(cell: str) -> Any:
    return cell


def _typed(cell: str) -> Any:
    try:
        value = msgspec.json.decode(cell, type=msgspec.Raw)
    except msgspec.DecodeError:
        return cell
    return cell if bytes(value).startswith((b'"', b"[", b"{")) else value
