"""valueVersion: a record's context as an opaque string that only works for its own key."""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.model.errors import InvalidVersion
from kvorum.model.record import Context
from kvorum.service.seal import Forged, Seal

_PURPOSE: Final = 1

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Context).decode


def subject_of(namespace: str, key: str) -> bytes:
    """What a version string or a hash is bound to: bytes that no other entry has.

    `key` need not be a sound one: whoever places it finds that out.
    """
    return f"{namespace}\0{key}\0".encode(errors="surrogatepass")


def key_in(subject: bytes) -> bytes:
    """The key of a subject: a namespace has no NUL in it."""
    return subject[subject.index(0) + 1 : -1]


class VersionStrings:
    """Writes contexts as opaque strings, and reads them back."""

    def __init__(self, secret: bytes) -> None:
        self._seal = Seal(secret, _PURPOSE)

    def write(self, subject: bytes, context: Context) -> str:
        """The string for `context`, which works for `subject` alone."""
        return self._seal.seal(subject, _encode(context))

    def read(self, subject: bytes, text: str) -> Context:
        """Raises InvalidVersion if this cluster never gave out `text` for `subject`."""
        try:
            return _decode(self._seal.open(subject, text))
        except (Forged, msgspec.DecodeError) as error:
            raise InvalidVersion(
                "The given version is not one of this key: use one that a read or a write of the "
                "key returned."
            ) from error
