"""Typed values: bytes with their media type, as one value of the kind TYPED of a record.

0      1   n, the length of the media type
1      n   the media type in ASCII, as RFC 9110, section 8.3.1, has it: text/plain; charset=utf-8
1+n ..     the bytes
"""

from __future__ import annotations

import re
from typing import Final

from kvorum.model.errors import InvalidValue

MEDIA_TYPE_BYTES_MAX: Final = 255

_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_QUOTED: Final = r'"(?:[\t !#-\[\]-~]|\\[\t -~])*"'
_MEDIA_TYPE: Final = re.compile(
    rf"{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?)*"
)


def check_media_type(text: str) -> None:
    """Raises InvalidValue unless `text` is a media type that can be stored."""
    if len(text) > MEDIA_TYPE_BYTES_MAX:
        raise InvalidValue(
            f"The content type has {len(text)} characters. Use one of at most "
            f"{MEDIA_TYPE_BYTES_MAX}."
        )
    if not _MEDIA_TYPE.fullmatch(text):
        raise InvalidValue(
            f"The content type {text[:80]!r} is no media type. Write type/subtype, with parameters "
            "if need be, such as image/png or text/plain; charset=utf-8."
        )


def join_type(media_type: str, body: bytes) -> bytes:
    """The value that holds `body` and its `media_type`. Raises InvalidValue."""
    check_media_type(media_type)
    return b"%c%b%b" % (len(media_type), media_type.encode("ascii"), body)


def split_type(value: bytes) -> tuple[str, bytes]:
    """(media type, bytes) of a value that `join_type` has made."""
    end = 1 + value[0]
    return value[1:end].decode("ascii"), value[end:]


def body_bytes(value: bytes) -> int:
    """How many bytes a typed value has without its type."""
    return len(value) - 1 - value[0]


def is_typed_value(value: bytes) -> bool:
    """True if `value` begins with a media type, as `join_type` makes it."""
    if not value or len(value) < 1 + value[0]:
        return False
    media_type = value[1 : 1 + value[0]]
    return media_type.isascii() and _MEDIA_TYPE.fullmatch(media_type.decode("ascii")) is not None
