"""Python values as JSON text, and back.

    bytes                                     base64 text, marked by metadata.encoding
    TypedBytes                                the same, with a content type
    None, bool, int, float, str, list, dict   JSON
    msgspec.Raw                               JSON text already; sent as it is

Encoding is the standard library's strict mode: what JSON cannot hold (NaN, a set, a lone
surrogate) is refused rather than turned into something else. By JSON's nature a tuple
comes back as a list and a number as a dict's key comes back as a string. Integers keep
every digit, up to Python's own limit of 4,300 (`sys.set_int_max_str_digits`).

Decoding takes msgspec, and the standard library for the few texts msgspec finds no number
for (such as 1e400).
"""

from __future__ import annotations

import binascii
import json
from typing import Any, Final, NamedTuple, Self

import msgspec

from kvorum.model.errors import InvalidValue
from kvorum.model.typed_value import check_media_type

BYTES: Final = (bytes, bytearray, memoryview)
"""What is stored as bytes, and not as JSON."""

_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_decoder: Final = msgspec.json.Decoder()


class JsonText(NamedTuple):
    """A value as JSON; `binary` says that it is the base64 text of bytes."""

    json: bytes
    binary: bool = False
    content_type: str | None = None
    """That of bytes that have one."""


class TypedBytes(bytes):
    """Bytes with the content type they are stored and given back with, such as image/png.

    A value that was stored with a content type is read as this too.
    """

    content_type: str

    def __new__(cls, data: bytes | bytearray | memoryview, content_type: str) -> Self:
        """Raises InvalidValue if `content_type` is no media type."""
        check_media_type(content_type)
        typed = super().__new__(cls, data)
        typed.content_type = content_type
        return typed

    def __reduce__(self) -> tuple[type[Self], tuple[bytes, str]]:
        return type(self), (bytes(self), self.content_type)

    def __repr__(self) -> str:
        return f"TypedBytes({super().__repr__()}, {self.content_type!r})"


def encode_value(value: object) -> JsonText:
    """Raises InvalidValue if JSON cannot hold `value`."""
    if isinstance(value, BYTES):
        text = b'"' + binascii.b2a_base64(value, newline=False) + b'"'
        media_type = value.content_type if isinstance(value, TypedBytes) else None
        return JsonText(text, binary=True, content_type=media_type)
    if isinstance(value, msgspec.Raw):
        return JsonText(bytes(value))
    try:
        return JsonText(_encoder.encode(value).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"JSON cannot hold this value of type {type(value).__name__}: {error}. Store bytes, or "
            "what JSON can hold."
        ) from error


def decode_value(text: bytes, binary: bool, content_type: str | None = None) -> Any:
    """The value in `text`. Raises InvalidValue if Python cannot hold it."""
    try:
        value = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _decode_beyond_msgspec(text)
    if not binary:
        return value
    try:
        data = binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidValue(
            f"The stored bytes are not base64 text, but {text[:40]!r}: {error}."
        ) from error
    return data if content_type is None else TypedBytes(data, content_type)


def _decode_beyond_msgspec(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"Python cannot hold the stored JSON: {error}.") from error
