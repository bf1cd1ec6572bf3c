"""Tokens: secrets that clients show to say who they are.

    kvt_ID_SECRET      ID: 12 hex digits, no secret; SECRET: 256 random bits in base64url

Nodes keep the SHA-256 of the whole text. That needs neither salt nor slowness, as nobody can guess
256 bits.

The first administrator's token follows from the cluster's secret. So all nodes know the same one at
their first start, without having spoken to each other; who knows that secret may pass for a node
anyway.
"""

from __future__ import annotations

import binascii
import hmac
import re
import secrets
from hashlib import sha256
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(rb"kvt_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_ID_BYTES: Final = 6
_SECRET_BYTES: Final = 32


class NewToken(NamedTuple):
    """A token that has just been made: the only time that its text is known."""

    text: str
    id: str
    digest: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r})"


def new_token() -> NewToken:
    """A random token."""
    return _token(secrets.token_bytes(_ID_BYTES), secrets.token_bytes(_SECRET_BYTES))


def first_administrators(secret: bytes) -> NewToken:
    """The token of a cluster's first administrator, which follows from the cluster's `secret`."""
    made = hmac.digest(secret, b"kvorum first administrator's token", "sha512")
    return _token(made[:_ID_BYTES], made[_ID_BYTES : _ID_BYTES + _SECRET_BYTES])


def id_of(token: bytes) -> str | None:
    """The id in the text of a token; None if the text is none of a token."""
    found = _TOKEN.fullmatch(token)
    return None if found is None else found[1].decode()


def digest_of(token: bytes) -> str:
    """What nodes keep of a token, 64 hex digits."""
    return sha256(token).hexdigest()


def _token(token_id: bytes, secret: bytes) -> NewToken:
    random = binascii.b2a_base64(secret, newline=False).rstrip(b"=").decode()
    text = f"kvt_{token_id.hex()}_{random.translate(str.maketrans('+/', '-_'))}"
    return NewToken(text, token_id.hex(), digest_of(text.encode()))
