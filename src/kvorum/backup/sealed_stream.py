"""An authenticated encryption of a stream of bytes, for exports.

    0   16  "kvorum sealed 1" and a line break
    16   8  id of the key, as in `sealing/master_key.py`
    24  32  random bytes of this stream
    56  ..  pieces: 65,536 bytes of text each, except that the last may have less or none;
            each one followed by its tag of 16 bytes

The stream's key is derived from the given one and the random bytes, so no two streams share a key,
and a nonce is a counter: 11 bytes, the number of the piece, and 1 byte, 1 for the last piece and
else 0. The header is the associated data of each piece. So pieces cannot be changed, moved or
left out, and a stream that ends early does not open (STREAM; V. T. Hoang et al., "Online
Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015). AES-256-GCM-SIV.
"""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import MasterKey

MAGIC: Final = b"kvorum sealed 1\n"
PIECE_BYTES: Final = 1 << 16

_FAMILY: Final = b"kvorum sealed "
_ID_BYTES: Final = 8
_RANDOM_BYTES: Final = 32
_HEADER_BYTES: Final = len(MAGIC) + _ID_BYTES + _RANDOM_BYTES
_TAG_BYTES: Final = 16
_CONTEXT: Final = b"kvorum sealed stream, format 1"


def is_sealed(start: bytes) -> bool:
    """True if `start`, at least len(MAGIC) bytes, is the beginning of a sealed stream."""
    return start.startswith(_FAMILY)


class _Pieces:
    """Seals or opens the pieces of one stream, in their order."""

    def __init__(self, master: MasterKey, header: bytes) -> None:
        self._cipher = AESGCMSIV(master.mac(header, _CONTEXT))
        self._header = header
        self._number = 0

    def seal(self, text: bytes, *, last: bool) -> bytes:
        return self._cipher.encrypt(self._nonce(last), text, self._header)

    def open(self, sealed: bytes, *, last: bool) -> bytes:
        """Raises ConfigError."""
        try:
            return self._cipher.decrypt(self._nonce(last), sealed, self._header)
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                "The sealed export is damaged or cut short after "
                f"{(self._number - 1) * PIECE_BYTES} bytes. Use another copy."
            ) from error

    def _nonce(self, last: bool) -> bytes:
        nonce = self._number.to_bytes(11) + bytes([last])
        self._number += 1
        return nonce


class _Writer(io.RawIOBase):
    """The stream is complete after `finish`; without it, it does not open."""

    def __init__(self, out: IO[bytes], master: MasterKey) -> None:
        header = MAGIC + bytes.fromhex(master.id) + secrets.token_bytes(_RANDOM_BYTES)
        self._out = out
        self._pieces = _Pieces(master, header)
        self._text = bytearray()
        out.write(header)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        text = self._text
        text += data
        # A full piece may be the last, so it is kept until there is more.
        while len(text) > PIECE_BYTES:
            self._out.write(self._pieces.seal(bytes(text[:PIECE_BYTES]), last=False))
            del text[:PIECE_BYTES]
        return len(data)

    def finish(self) -> None:
        self._out.write(self._pieces.seal(bytes(self._text), last=True))


@contextmanager
def sealed_writer(out: IO[bytes], master: MasterKey) -> Iterator[IO[bytes]]:
    """A writer of text that goes encrypted to `out`. If the block raises, that does not open."""
    writer = _Writer(out, master)
    yield writer  # type: ignore[misc]
    writer.finish()


class _Reader(io.RawIOBase):
    def __init__(self, source: IO[bytes], pieces: _Pieces) -> None:
        self._source = source
        self._pieces = pieces
        self._ahead = _read_up_to(source, PIECE_BYTES + _TAG_BYTES)
        self._text = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._source.close()
        super().close()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._text and not self._ended:
            self._text = memoryview(self._next())
        size = min(len(buffer), len(self._text))
        buffer[:size] = self._text[:size]
        self._text = self._text[size:]
        return size

    def _next(self) -> bytes:
        sealed, self._ahead = self._ahead, _read_up_to(self._source, PIECE_BYTES + _TAG_BYTES)
        self._ended = not self._ahead
        return self._pieces.open(sealed, last=self._ended)


def sealed_reader(source: IO[bytes], master: MasterKey) -> IO[bytes]:
    """The text of a sealed stream, decrypted as it is read. Raises ConfigError, also when read."""
    header = _read_up_to(source, _HEADER_BYTES)
    if not header.startswith(MAGIC):
        raise ConfigError(
            "The sealed export is not of format 1. Use the version of kvorum that wrote it."
        )
    if len(header) < _HEADER_BYTES:
        raise ConfigError("The sealed export is cut short in its header. Use another copy.")
    key_id = header[len(MAGIC) : len(MAGIC) + _ID_BYTES].hex()
    if key_id != master.id:
        raise ConfigError(
            f"The export was sealed with key {key_id}, and the given one is {master.id}. Name the "
            "source of the former.",
            wanted=key_id,
            got=master.id,
        )
    return io.BufferedReader(_Reader(source, _Pieces(master, header)), PIECE_BYTES)


def _read_up_to(source: IO[bytes], size: int) -> bytes:
    """`size` bytes, or less at the end of the stream. A pipe gives less at a time."""
    data = b""
    while len(data) < size:
        more = source.read(size - len(data))
        if not more:
            break
        data += more
    return data
