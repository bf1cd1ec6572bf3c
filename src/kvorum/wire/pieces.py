"""Pieces: how a message that is too long for one frame travels, so that no other waits behind it.

The whole, a batch of one message, is cut; each piece is the payload of a frame of its own:

    piece   0   1   0xc1, with which no batch begins: MessagePack never uses it
            1   8   length of the whole (big-endian)
            9   8   where in the whole the bytes of this piece belong
            17  ..  those bytes

On a link, each way, one whole at a time is under way; its pieces come in order, with any number
of batches in between. A piece for place 0 begins a whole, and lets go of one that is incomplete:
its sender has given it up. An empty piece of an empty whole does only the latter.

The receiver believes a length only as a bound: it keeps what has come, and nothing is set aside
for what has been announced.
"""

from __future__ import annotations

import struct
from typing import Final

from kvorum.model.errors import ProtocolError

PIECE_MARK: Final = b"\xc1"
WHOLE_BYTES_MAX: Final = 1 << 30
"""No message is longer. The siblings that clients can make in a partitioned cluster are a small
part of it.
"""
PIECE_BYTES: Final = 256 << 10
"""So many bytes of the message are in each piece but the last. A short message waits as long as
they take.
"""

_HEAD = struct.Struct("!cQQ")
_HEAD_BYTES: Final = _HEAD.size


def encode_piece(whole: bytes, start: int) -> bytes:
    """The piece that begins at `start`; at the end of the whole it is shorter than others."""
    head = _HEAD.pack(PIECE_MARK, len(whole), start)
    return head + whole[start : start + PIECE_BYTES]


def begins_whole(piece: bytes) -> bool:
    """True if `piece` is the first of its whole."""
    _mark, _length, start = _HEAD.unpack_from(piece)
    return bool(start == 0)


NO_MORE_PIECES: Final = encode_piece(b"", 0)
"""The piece that gives up a message of which not all pieces were sent."""


class Assembly:
    """Puts the pieces of one side together. Useless after it has raised."""

    __slots__ = ("_announced", "_bytes_max", "_held")

    def __init__(self, bytes_max: int = WHOLE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._announced = 0
        self._held = bytearray()

    def add(self, piece: bytes) -> bytearray | None:
        """The whole, if `piece` completes one. Raises ProtocolError if it cannot be the next."""
        if len(piece) < _HEAD_BYTES:
            raise ProtocolError(f"A piece of a message has no complete head: {piece.hex()}.")
        _mark, length, start = _HEAD.unpack_from(piece)
        if start == 0:
            self._begin(length)
        size = len(piece) - _HEAD_BYTES
        held = self._held
        if length != self._announced or start != len(held):
            raise ProtocolError(
                f"A piece for byte {start} of {length} came where byte {len(held)} of "
                f"{self._announced} was next."
            )
        if size > length - start or (size == 0 and length):
            raise ProtocolError(
                f"A piece for byte {start} of {length} has {size} bytes; {length - start} are left."
            )
        held += memoryview(piece)[_HEAD_BYTES:]
        if not length or len(held) < length:
            return None
        self._held = bytearray()
        self._announced = 0
        return held

    def _begin(self, length: int) -> None:
        if length > self._bytes_max:
            raise ProtocolError(
                f"A message of {length} bytes is announced, and the longest may have "
                f"{self._bytes_max}."
            )
        self._announced = length
        self._held = bytearray()
