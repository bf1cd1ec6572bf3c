"""Credentials: what a request shows of who makes it, in the terms of HTTP's Authorization field.

    Bearer TOKEN                     RFC 6750: a token (`tokens.py`)
    Basic BASE64(NAME:PASSWORD)      RFC 7617: a user's name and password, in UTF-8

Nothing here tells of a secret: no `repr`, no message.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from kvorum.model.errors import Unauthenticated

CREDENTIALS_BYTES_MAX: Final = 2048
PASSWORD_BYTES_MAX: Final = 1024

_FIELD: Final = re.compile(rb"([A-Za-z]+) +([A-Za-z0-9._~+/-]+=*)[ \t]*")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class BearerToken:
    """A token. `text`: all of it."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text: Final = text

    def __repr__(self) -> str:
        return "BearerToken(...)"


class NameAndPassword:
    """What a user says who has a password."""

    __slots__ = ("name", "password")

    def __init__(self, name: str, password: bytes) -> None:
        self.name: Final = name
        self.password: Final = password

    def __repr__(self) -> str:
        return f"NameAndPassword({self.name!r}, ...)"


Credentials = BearerToken | NameAndPassword


def credentials_in(authorization: bytes) -> Credentials:
    """What the value of an Authorization field shows. Raises Unauthenticated if it is none."""
    if len(authorization) > CREDENTIALS_BYTES_MAX:
        raise Unauthenticated(
            f"The Authorization field has {len(authorization)} bytes, and credentials have at most "
            f"{CREDENTIALS_BYTES_MAX}."
        )
    found = _FIELD.fullmatch(authorization)
    if found is None:
        raise Unauthenticated(
            "There is not one Authorization field with a scheme and credentials, as in "
            "'Bearer TOKEN'."
        )
    match found[1].lower():
        case b"bearer":
            return BearerToken(found[2])
        case b"basic":
            return _basic(found[2])
    raise Unauthenticated(
        f"The scheme {found[1][:20].decode()!r} of the Authorization field is not known. Use "
        "Bearer with a token, or Basic with a name and password."
    )


def _basic(text: bytes) -> NameAndPassword:
    try:
        name, colon, password = binascii.a2b_base64(text, strict_mode=True).partition(b":")
        shown = name.decode("ascii")
        password.decode()
    except ValueError:
        raise _no_basic() from None  # The cause would show what is a secret.
    if not colon or not _NAME.fullmatch(shown) or len(password) > PASSWORD_BYTES_MAX:
        raise _no_basic()
    return NameAndPassword(shown, password)


def _no_basic() -> Unauthenticated:
    return Unauthenticated(
        "What follows on Basic in the Authorization field is not base64 of NAME:PASSWORD: a user's "
        f"name, and a password of at most {PASSWORD_BYTES_MAX} bytes in UTF-8."
    )
