"""Opaque strings that clients hand back: bytes of ours that nobody else can make or change.

    base64url without padding of

    0    1   purpose (which kind of string, and which layout of the payload)
    1    10  BLAKE2b MAC over purpose, subject, payload and the payload's length (4 bytes)
    11   n   payload

The subject (a namespace and key, say) is not in the string: one sealed for another subject
does not open. 80 bits of MAC are too many to guess online, and all that a forger would gain
is a write that a client could have made without any version.

The MAC's key is derived from the cluster's secret, so the secret can serve elsewhere too.
"""

from __future__ import annotations

import binascii
import hmac
import re
from hashlib import blake2b
from typing import Final

MAC_BYTES: Final = 10

_PAYLOAD_AT: Final = 1 + MAC_BYTES
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")
_TEXT: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


class Forged(ValueError):
    """A string that was not sealed here, for this purpose and subject."""


class Seal:
    """Seals payloads as opaque text for one purpose, and opens them."""

    __slots__ = ("_keyed", "_purpose")

    def __init__(self, secret: bytes, purpose: int) -> None:
        key = blake2b(secret, digest_size=32, person=b"kvorum.api.seal").digest()
        self._purpose = bytes([purpose])
        # Copying a keyed hash takes half the time of keying one.
        self._keyed = blake2b(self._purpose, key=key, digest_size=MAC_BYTES)

    def seal(self, subject: bytes, payload: bytes) -> str:
        """The same string for the same payload, always."""
        sealed = self._purpose + self._mac(subject, payload) + payload
        return binascii.b2a_base64(sealed, newline=False).translate(_TO_URL_SAFE, b"=").decode()

    def open(self, subject: bytes, text: str) -> bytes:
        """The payload in `text`. Raises Forged."""
        sealed = _decode(text)
        payload = sealed[_PAYLOAD_AT:]
        mac = self._mac(subject, payload)
        if sealed[:1] != self._purpose or not hmac.compare_digest(sealed[1:_PAYLOAD_AT], mac):
            raise Forged("it was not sealed here for this use")
        return payload

    def _mac(self, subject: bytes, payload: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(subject + payload + len(payload).to_bytes(4, "big"))
        return mac.digest()


def _decode(text: str) -> bytes:
    if not _TEXT.fullmatch(text) or len(text) % 4 == 1:
        raise Forged("it is not base64url")
    padded = text.encode().translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4)
    sealed = binascii.a2b_base64(padded, strict_mode=True)
    # The last character may hold bits that no byte takes: only zeros are canonical.
    if binascii.b2a_base64(sealed, newline=False) != padded:
        raise Forged("it is not canonical base64url")
    return sealed
