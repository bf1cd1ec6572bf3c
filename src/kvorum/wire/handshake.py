"""The handshake: what two nodes say before they exchange messages.

    dialer      Challenge              Hello                      Welcome | Reject
    listener               Challenge          Hello | Reject | Crossed

A Challenge tells the version of the protocol and a nonce. All that follows is sealed with the
cluster secret (`handshake_cipher.py`): who does not know it learns nothing and is closed. The
listener stays silent until it has read a Challenge.

Each side judges the other's Hello. The listener's own Hello says that it welcomes the dialer;
Reject says why not, and closes. Crossed is no complaint: the listener has a link to the dialer
already, or has just dialed it itself, and two nodes keep one link. A link is open to the dialer
that has said Welcome, and to the listener that has heard it.

Up to version 2 the first frame was a Hello, in the clear. Such a node is told, in its own words,
that the versions differ, and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from kvorum.model.errors import ProtocolError

PROTOCOL: Final = 3
DIALER_FRAMES: Final = 3
LISTENER_FRAMES: Final = 2
NONCE_BYTES: Final = 32
ID_HEX_DIGITS: Final = 32
ACTOR_HEX_DIGITS: Final = 11
"""The part of a node's id, 44 bits, that its actors are made of; unique within a cluster."""

_REASON_CHARS_MAX: Final = 500


class Challenge(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The speaker's version of the protocol, and random bytes of this handshake."""

    protocol: int
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]


class Hello(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Who speaks, and in which cluster it believes itself to be.

    `node_id` is the random id kept with the node's data; `incarnation` counts its lives.
    """

    protocol: int
    cluster: str
    fingerprint: str
    epoch: int
    node: str
    node_id: Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{{ID_HEX_DIGITS}}}\Z")]
    incarnation: Annotated[int, msgspec.Meta(ge=0)]


class Welcome(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    pass


class Reject(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    reason: str


class Crossed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    pass


Verdict = Welcome | Reject | Crossed
Greeting = Challenge | Hello | Verdict

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Greeting] = msgspec.msgpack.Decoder(Greeting)


def encode_greeting(greeting: Greeting) -> bytes:
    return _encoder.encode(greeting)


def decode_greeting(data: bytes) -> Greeting:
    """Raises ProtocolError if `data` is anything but one greeting."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"{len(data)} bytes came that are no handshake message: {error}"
        ) from error


def other_version(theirs: int) -> str:
    return (
        f"nodes that speak versions {theirs} and {PROTOCOL} of the protocol between nodes do not "
        "understand each other; run the same version of kvorum on both"
    )


def other_version_in(first: bytes) -> str | None:
    """What speaks against a dialer whose first frame is `first`, before it has proven anything."""
    greeting = decode_greeting(first)
    if isinstance(greeting, Challenge | Hello) and greeting.protocol != PROTOCOL:
        return other_version(greeting.protocol)
    return None


def reject(reason: str) -> Reject:
    """A Reject that fits a handshake frame, however long `reason` is."""
    return Reject(reason[:_REASON_CHARS_MAX])


def same_actors(node_id: str, other: str) -> bool:
    """True if two node ids would make the same actors: dots of theirs could collide."""
    return node_id[:ACTOR_HEX_DIGITS] == other[:ACTOR_HEX_DIGITS]


def objection(ours: Hello, theirs: Hello) -> str | None:
    """Why a node that says `ours` must not talk to one that says `theirs`; None if it may."""
    if ours.protocol != theirs.protocol:
        return other_version(theirs.protocol)
    for what, want, got in (
        ("cluster", ours.cluster, theirs.cluster),
        ("topology epoch", ours.epoch, theirs.epoch),
        ("topology fingerprint", ours.fingerprint, theirs.fingerprint),
    ):
        if want != got:
            return f"wanted {what} {want!r}, got {got!r}; give both nodes the same cluster file"
    if theirs.node == ours.node:
        return (
            f"wanted another node than {ours.node!r}, got the same name; "
            "start each node of the cluster file once, at its own address"
        )
    if same_actors(ours.node_id, theirs.node_id):
        return (
            f"wanted node ids that differ in their first {ACTOR_HEX_DIGITS} digits, got "
            f"{theirs.node_id} for {theirs.node!r} and {ours.node_id} for {ours.node!r}; "
            "never start two nodes from copies of one data directory"
        )
    return None
