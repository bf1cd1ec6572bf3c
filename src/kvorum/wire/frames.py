"""Frames: how payloads travel on a byte stream between two nodes. Bytes in, payloads out; no I/O.

    stream     preface, then frames
    preface    8 bytes, so that another protocol is known by its first byte
    frame      0   4   length of the payload (big-endian)
               4   8   topology epoch of the sender; 0 in handshake frames
               12  4   XXH32 of bytes 0 to 12
               16  8   XXH3-64 of the payload, seeded with the epoch
               24  ..  payload

The first few frames each way are the handshake (`handshake.py`) and short; all later ones are
batches (`messages.py`), or pieces of a message that is too long for a frame (`pieces.py`). They
carry the epoch in which what they hold was made, so that who receives it knows whether the two
nodes mean the same by it (`links/fence.py`).

The header has a check of its own because a damaged length would otherwise be believed: the
reader would wait for bytes that never come, on a link that looks alive. The checks find
damage, not malice; they are no authentication.
"""

from __future__ import annotations

import struct
from typing import Final

from xxhash import xxh3_64_digest, xxh32_digest

from kvorum.model.errors import ProtocolError

PREFACE: Final = b"\x8bkvorum\n"
HANDSHAKE_EPOCH: Final = 0
HANDSHAKE_BYTES_MAX: Final = 4 << 10
FRAME_BYTES_MAX: Final = 2 << 20
"""The longest payloads, checked before any of one is kept. A write of the longest value fits a
frame; what is sent later waits until the frames before it have passed.
"""

_HEAD = struct.Struct("!IQ")
_HEADER = struct.Struct("!IQ4s8s")
_HEAD_BYTES: Final = _HEAD.size
HEADER_BYTES: Final = _HEADER.size


def encode_frame(epoch: int, payload: bytes) -> bytes:
    """The frame of `payload`, which was made in `epoch`."""
    head = _HEAD.pack(len(payload), epoch)
    return b"".join((head, xxh32_digest(head), xxh3_64_digest(payload, epoch), payload))


def split_frame(frame: bytes) -> tuple[int, bytes]:
    """The epoch and the payload of one whole frame of this process: nothing is checked."""
    _length, epoch = _HEAD.unpack_from(frame)
    return epoch, frame[HEADER_BYTES:]


class FrameDecoder:
    """Cuts the byte stream of one side into payloads. Useless after it has raised.

    Whole frames in one read, the common case, are sliced out of it directly. Only a frame
    that is not complete yet is kept, and looked at again once all of it is there.
    """

    __slots__ = ("_bytes_max", "_handshake_frames", "_held", "_preface", "_wanted")

    def __init__(self, handshake_frames: int) -> None:
        """`handshake_frames`: how many of them the other side sends."""
        self._bytes_max = HANDSHAKE_BYTES_MAX
        self._handshake_frames = handshake_frames
        self._preface = PREFACE
        self._held = bytearray()
        self._wanted = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(epoch, payload) of the frames that `data` completes. Raises ProtocolError on damage."""
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held = bytearray()
        elif self._preface:
            data = self._strip_preface(data)
        frames = []
        start = 0
        have = len(data)
        self._wanted = HEADER_BYTES
        while have - start >= HEADER_BYTES:
            length, epoch, head_check, check = _HEADER.unpack_from(data, start)
            if xxh32_digest(data[start : start + _HEAD_BYTES]) != head_check:
                raise ProtocolError("The header of a frame fails its check.")
            if (epoch == HANDSHAKE_EPOCH) != bool(self._handshake_frames) or (
                length > self._bytes_max
            ):
                raise self._unwanted(epoch, length)
            body = start + HEADER_BYTES
            end = body + length
            if end > have:
                self._wanted = end - start
                break
            payload = data[body:end]
            if xxh3_64_digest(payload, epoch) != check:
                raise ProtocolError(f"A payload of {length} bytes fails its check.")
            frames.append((epoch, payload))
            if self._handshake_frames:
                self._count_handshake_frame()
            start = end
        if start < have:
            self._held += data[start:]
        return frames

    def _strip_preface(self, data: bytes) -> bytes:
        got = data[: len(self._preface)]
        if not self._preface.startswith(got):
            raise ProtocolError(
                "The connection does not begin like one of a kvorum node. Is this a client that "
                "speaks another protocol?"
            )
        self._preface = self._preface[len(got) :]
        return data[len(got) :]

    def _count_handshake_frame(self) -> None:
        self._handshake_frames -= 1
        if not self._handshake_frames:
            self._bytes_max = FRAME_BYTES_MAX

    def _unwanted(self, epoch: int, length: int) -> ProtocolError:
        if self._handshake_frames and epoch != HANDSHAKE_EPOCH:
            return ProtocolError(f"A frame of epoch {epoch} came during the handshake.")
        if not self._handshake_frames and epoch == HANDSHAKE_EPOCH:
            return ProtocolError("A frame of the handshake came after its end.")
        return ProtocolError(
            f"A frame announces a payload of {length} bytes, and {self._bytes_max} are the most."
        )
