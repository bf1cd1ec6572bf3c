"""Files of entries in JSON Lines: an object a line, shaped like an entry of the HTTP API.

    {"key": "U+1F600", "value": {"name": "GRINNING FACE"}}
    {"key": "logo", "value": "aGVsbG8=", "metadata": {"encoding": "base64"}}
    {"key": "logo", "value": "aGVsbG8=", "metadata": {"encoding": "base64", "contentType": "a/b"}}
    {"key": "cart", "value": [2], "siblings": [{"value": [2]}, {"value": [1]}]}
    {"key": "session", "value": 1, "metadata": {"ttl": 3600}}
    {"key": "session", "value": 1, "metadata": {"expiresAt": 1795379955530}}

What the API refuses is refused here as well: unknown members, and members that are given twice.

A line that is no entry comes out as a Reject, and reading goes on behind it. Every line says
where it ends in the file, so that reading can start there again. Values stay the JSON text
they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Final

import msgspec

from kvorum.api.entry_body import Lifespan, refuse_repeated_names
from kvorum.cli.bulk.items import START, Item, Place, Reject, Timed, Value
from kvorum.cli.entries.complaints import plain_words
from kvorum.client.requests import DEFAULT_LIFETIME, Lifetime
from kvorum.client.values import TypedBytes, decode_value
from kvorum.model.errors import InvalidValue, RequestError

LINE_BYTES_MAX: Final = 4 * 1024 * 1024
BOM: Final = b"\xef\xbb\xbf"
_EXCERPT_BYTES: Final = 40


Lines = Iterator[Item | Reject]


class _Metadata(Lifespan):
    encoding: str | None = None
    content_type: str | None = None


class _Sibling(msgspec.Struct, forbid_unknown_fields=True):
    value: msgspec.Raw
    metadata: _Metadata | None = None


class _Line(_Sibling, forbid_unknown_fields=True, kw_only=True):
    key: str
    siblings: list[msgspec.Raw] = []


_line: Final = msgspec.json.Decoder(_Line)
_sibling: Final = msgspec.json.Decoder(_Sibling)


class _Source:
    """The lines of a binary stream as text, counted; a bad one is an error of its own."""

    def __init__(self, stream: IO[bytes], place: Place) -> None:
        self._stream = stream
        self._offset, self.line = place

    @property
    def place(self) -> Place:
        return Place(self._offset, self.line)

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        """Raises ValueError if the line is too long, and UnicodeDecodeError if it is not UTF-8."""
        data = self._stream.readline(LINE_BYTES_MAX + 1)
        if not data:
            raise StopIteration
        self.line += 1
        self._offset += len(data)
        if len(data) > LINE_BYTES_MAX:
            self._skip_rest()
            raise ValueError(f"The line is longer than {LINE_BYTES_MAX} bytes. Shorten it.")
        if self.line == 1:
            data = data.removeprefix(BOM)
        return data.decode()

    def _skip_rest(self) -> None:
        while data := self._stream.readline(LINE_BYTES_MAX):
            self._offset += len(data)
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
            yield Reject(source.line, source.place, plain_words(error, text.encode()))


def _item(text: str, source: _Source) -> Item:
    """Raises ValueError, RecursionError or RequestError."""
    found = _line.decode(text)
    refuse_repeated_names(text.encode())
    value = _value(found.value, found.metadata)
    siblings = tuple(map(_timed, found.siblings))
    if siblings and bytes(siblings[0].value) != bytes(value):
        raise ValueError("The first of the siblings is another value than the line's own.")
    lifetime = _lifetime(found.metadata)
    return Item(source.line, source.place, found.key, value, siblings, lifetime)


def _timed(text: msgspec.Raw) -> Timed:
    """Raises ValueError, RecursionError or RequestError."""
    found = _sibling.decode(text)
    refuse_repeated_names(bytes(text))
    return Timed(_value(found.value, found.metadata), _lifetime(found.metadata))


def _lifetime(metadata: _Metadata | None) -> Lifetime:
    """Raises RequestError."""
    if metadata is None:
        return DEFAULT_LIFETIME
    ttl, expires = metadata.asked
    return Lifetime(ttl, expires or None)


def _value(text: msgspec.Raw, metadata: _Metadata | None) -> Value:
    if metadata is None or (metadata.encoding is None and metadata.content_type is None):
        return text
    if metadata.encoding is None:
        raise InvalidValue(
            'A value with a contentType is base64 text of bytes: add "encoding": "base64".'
        )
    if metadata.encoding != "base64":
        raise InvalidValue(f"Unknown encoding {metadata.encoding!r}: use base64, or none.")
    value = _from_base64(text)
    return value if metadata.content_type is None else TypedBytes(value, metadata.content_type)


def _from_base64(text: msgspec.Raw) -> bytes:
    try:
        value: bytes = decode_value(bytes(text), binary=True)
    except InvalidValue as error:
        got = bytes(text)[:_EXCERPT_BYTES].decode(errors="replace")
        raise InvalidValue(f"The value is not base64 text: {got}.") from error
    return value
