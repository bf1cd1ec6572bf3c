"""Passwords that have been verified: the next request with the same name and password is a lookup.

They are remembered under a keyed hash (BLAKE2b), with a key that this process has drawn and tells
nobody: memory holds no password, and nobody outside can tell from how long a lookup takes what is
there. One counts as long as its user keeps that password. Those that were used last are kept.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from typing import Final

from kvorum.model.security_values import Password
from kvorum.service.credentials import NameAndPassword

REMEMBERED_MAX: Final = 4096
_KEY_BYTES: Final = 32
_HASH_BYTES: Final = 32


class VerifiedPasswords:
    """At most `most` pairs of a name and a password."""

    def __init__(self, most: int = REMEMBERED_MAX) -> None:
        self._most = most
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._kept: OrderedDict[bytes, Password] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def hash_of(self, shown: NameAndPassword) -> bytes:
        """By which this name and password are remembered."""
        text = b"%b\0%b" % (shown.name.encode(), shown.password)
        return hashlib.blake2b(text, key=self._key, digest_size=_HASH_BYTES).digest()

    def has(self, shown: bytes, kept: Password) -> bool:
        """True if what has the hash `shown` was found to fit `kept`, which is the user's now."""
        if self._kept.get(shown) != kept:
            return False
        self._kept.move_to_end(shown)
        return True

    def add(self, shown: bytes, kept: Password) -> None:
        """What has the hash `shown` fits `kept`."""
        self._kept[shown] = kept
        self._kept.move_to_end(shown)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
