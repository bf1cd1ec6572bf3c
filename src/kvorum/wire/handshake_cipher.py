"""The cipher of a handshake: what two nodes tell of themselves, for those who know the secret.

Both sides send a nonce in the clear. From the nonces and the cluster secret follow two keys, one
for what the dialer says and one for what the listener does; all the rest is sealed with them:

    root   = BLAKE2b("kvorum peer link", secret)
    seen   = BLAKE2b over all frames so far, in order, each with its length before it
    key    = BLAKE2b(keyed with root, "kvorum dialer" | "kvorum listener", seen after both nonces)
    frame  = AES-256-GCM-SIV(key, nonce: how many this side has sealed, associated data: seen)

To seal a frame, or to open one, is to prove knowledge of the secret. Nothing is told before: an
outsider sees a version number and random bytes.

    replay        the keys depend on a nonce that the victim has just drawn
    reflection    each direction has a key of its own
    splicing      `seen` binds a frame to all before it: to both nonces, and so to the identities

As in the pattern NNpsk0 of the Noise framework, less its ephemeral keys: an attacker that records a
handshake and learns the secret later can read the names in it. It seals the handshake only, not
what follows.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from kvorum.model.errors import ProtocolError
from kvorum.wire.handshake import (
    SPOKEN,
    Challenge,
    Greeting,
    Reject,
    Versions,
    decode_greeting,
    encode_greeting,
    no_common_version,
)

_LINK: Final = b"kvorum peer link"
_DIALER: Final = b"kvorum dialer"
_LISTENER: Final = b"kvorum listener"
_KEY_BYTES: Final = 32
_COUNT_BYTES: Final = 12


class HandshakeCipher:
    """Seals and opens the greetings of one side. Useless after it has raised."""

    def __init__(
        self, secret: bytes, nonce: bytes, *, dialed: bool, spoken: Versions = SPOKEN
    ) -> None:
        """`nonce`: random, for this handshake. `dialed`: by this side. `spoken`: its protocols."""
        self.challenge: Final = encode_greeting(Challenge(spoken.highest, nonce, spoken.lowest))
        """What this side sends first, in the clear."""
        self.protocol: int | None = None
        """The version that both speak, once the other side's challenge is known."""
        self._spoken = spoken
        self._dialed = dialed
        self._root = blake2b(secret, digest_size=_KEY_BYTES, person=_LINK).digest()
        self._seen = blake2b(digest_size=_KEY_BYTES)
        self._sealed = 0
        self._opened = 0
        self._seal_with: AESGCMSIV
        self._open_with: AESGCMSIV

    @property
    def met(self) -> bool:
        """True once the other side's challenge is known."""
        return self.protocol is not None

    def meet(self, challenge: bytes) -> None:
        """Take the other side's challenge. Raises ProtocolError; also if no protocol is shared."""
        theirs = decode_greeting(challenge)
        if isinstance(theirs, Reject):
            raise ProtocolError(f"It refused this node: {theirs.reason!r}")
        if not isinstance(theirs, Challenge):
            raise ProtocolError(f"A {type(theirs).__name__} came where a Challenge was next.")
        protocol = self._spoken.agreed(theirs.versions)
        if protocol is None:
            raise ProtocolError(no_common_version(self._spoken, theirs.versions))
        for frame in (self.challenge, challenge) if self._dialed else (challenge, self.challenge):
            self._see(frame)
        ours, other = (_DIALER, _LISTENER) if self._dialed else (_LISTENER, _DIALER)
        self._seal_with, self._open_with = self._cipher(ours), self._cipher(other)
        self.protocol = protocol

    def seal(self, greeting: Greeting) -> bytes:
        """The frame that carries `greeting`; to be sent in the order of the calls."""
        count = self._sealed.to_bytes(_COUNT_BYTES)
        frame = self._seal_with.encrypt(count, encode_greeting(greeting), self._seen.digest())
        self._sealed += 1
        self._see(frame)
        return frame

    def open(self, frame: bytes) -> Greeting:
        """The greeting in `frame`. Raises ProtocolError for a wrong secret or another frame."""
        count = self._opened.to_bytes(_COUNT_BYTES)
        try:
            opened = self._open_with.decrypt(count, frame, self._seen.digest())
        except (InvalidTag, ValueError) as error:  # a ValueError: too short to have a tag
            raise ProtocolError(
                "It does not know this node's cluster secret. If it is a node of this cluster, "
                "give both the same secret; if not, find out who tries to get in."
            ) from error
        self._opened += 1
        self._see(frame)
        return decode_greeting(opened)

    def _cipher(self, speaker: bytes) -> AESGCMSIV:
        seen = self._seen.digest()
        key = blake2b(seen, digest_size=_KEY_BYTES, key=self._root, person=speaker)
        return AESGCMSIV(key.digest())

    def _see(self, frame: bytes) -> None:
        self._seen.update(len(frame).to_bytes(8))
        self._seen.update(frame)
