"""Batches: the messages that travel together in one payload, as one MessagePack array."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kvorum.model.errors import ProtocolError
from kvorum.wire.messages import Message

_BATCH_HEAD_BYTES: Final = 5
"""At most: the mark and the length of a MessagePack array."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


def encode_batch(messages: list[Message]) -> bytes:
    """`messages` as one payload, whatever its length."""
    return _encoder.encode(messages)


class Packed(NamedTuple):
    """A list of messages that is too long for one batch, cut.

    `batches`: payloads, each with the number of its messages. `wholes`: batches of one message
    that is too long by itself (`pieces.py`).
    """

    batches: list[tuple[bytes, int]]
    wholes: list[bytes]


def pack(messages: list[Message], bytes_max: int) -> Packed:
    """`messages` in batches of at most `bytes_max` where they fit, short and long ones in order."""
    packed = Packed([], [])
    gathered: list[msgspec.Raw] = []
    room = bytes_max - _BATCH_HEAD_BYTES
    size = 0
    for message in messages:
        encoded = _encoder.encode(message)
        if len(encoded) > room:
            packed.wholes.append(_encoder.encode([msgspec.Raw(encoded)]))
            continue
        if size + len(encoded) > room:
            packed.batches.append((_encoder.encode(gathered), len(gathered)))
            gathered, size = [], 0
        gathered.append(msgspec.Raw(encoded))
        size += len(encoded)
    if gathered:
        packed.batches.append((_encoder.encode(gathered), len(gathered)))
    return packed


def decode_batch(data: bytes | bytearray) -> list[Message]:
    """The messages of the payload `data`. Raises ProtocolError if it is not one batch."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"A payload of {len(data)} bytes is no batch of messages: {error}."
        ) from error
