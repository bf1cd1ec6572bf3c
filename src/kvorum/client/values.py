"""Python values as JSON text, and back.

    bytes                                     base64 text, marked by metadata.encoding
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
from typing import Any, Final, NamedTuple

import msgspec

from kvorum.model.errors import InvalidValue

BYTES: Final = (bytes, bytearray, memoryview)
"""What is stored as bytes, and not as JSON."""

_encoder: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_decoder: Final = msgspec.json.Decoder()


class JsonText(NamedTuple):
    """A value as JSON; `binary` says that it is the base64 text of bytes."""

    json: bytes
    binary: bool = False


def encode_value(value: object) -> JsonText:
    """Raises InvalidValue if JSON cannot hold `value`."""
    if isinstance(value, BYTES):
        return JsonText(b'"' + binascii.b2a_base64(value, newline=False) + b'"', binary=True)
    if isinstance(value, msgspec.Raw):
        return JsonText(bytes(value))
    try:
        return JsonText(_encoder.encode(value).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(
            f"JSON cannot hold this value of type {type(value).__name__}: {error}. Store bytes, or "
            "what JSON can hold."
        ) from error


def decode_value(text: bytes, binary: bool) -> Any:
    """The value in `text`. Raises InvalidValue if Python cannot hold it."""
    try:
        value = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = _decode_beyond_msgspec(text)
    if not binary:
        return value
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise InvalidValue(
            f"The stored bytes are not base64 text, but {text[:40]!r}: {error}."
        ) from error


def _decode_beyond_msgspec(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"Python cannot hold the stored JSON: {error}.") from error
