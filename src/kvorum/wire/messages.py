"""The messages nodes send each other, and their bytes.

A batch is one MessagePack array of messages; each message is an array whose first item is
its tag. msgspec checks types and arity while it decodes, at C speed, so nothing malformed
reaches a handler. `op` is the sender's number for the operation and comes back in the reply.

    request     reply                              what
    Write       Wrote | Refused                    merge a record into the replica, durably
    Read        Same | Have | Refused              digest of the asker's record in, record out
    Forward     Forwarded                          coordinate this client request
    Scan        Page | Refused                     a page of one range of the key space
    Standing    (none)                             whether the sender holds writes you missed
"""

from __future__ import annotations

import msgspec

from kvorum.model.errors import ProtocolError
from kvorum.model.request import Answer, Delete, Failure, Put


class Write(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """`base`: the digest of the record that `record` was made from, empty if there was none.

    A replica that holds just that record takes the new one without a look into either: an
    event added to what it has. None where the record came about in another way (a merge).
    """

    op: int
    key: bytes
    record: bytes
    base: bytes | None = None


class Wrote(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    op: int


class Read(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """`digest`: the first 8 bytes of the asker's own encoded record; empty if it has none."""

    op: int
    key: bytes
    digest: bytes


class Same(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    op: int


class Have(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The replica's encoded record; empty if it has none."""

    op: int
    record: bytes


class Refused(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    op: int
    code: str
    message: str


class Forward(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    op: int
    request: Put | Delete


class Forwarded(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    op: int
    result: Answer | Failure


class Scan(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """start <= storage key < end, at most `limit` records."""

    op: int
    start: bytes
    end: bytes
    limit: int


class Page(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Storage keys and encoded records in key order; `more` if the range goes on."""

    op: int
    pairs: list[tuple[bytes, bytes]]
    more: bool


class Standing(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    behind: bool


Message = (
    Write | Wrote | Read | Same | Have | Refused | Forward | Forwarded | Scan | Page | Standing
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


def encode_batch(messages: list[Message]) -> bytes:
    return _encoder.encode(messages)


def decode_batch(data: bytes) -> list[Message]:
    """Raises ProtocolError if `data` is anything but one batch."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"wanted a batch of messages, got {len(data)} bytes: {error}"
        ) from error
