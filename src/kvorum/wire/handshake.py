"""The handshake: what two nodes say before they exchange messages.

    dialer      Challenge              Hello                      Welcome | Reject
    listener               Challenge          Hello | Reject | Crossed

A Challenge tells which versions of the protocol its speaker knows, and a nonce. The link speaks the
highest that both know. All that follows is sealed with the cluster secret (`handshake_cipher.py`):
who does not know it learns nothing and is closed. The listener stays silent until it has read a
Challenge.

Each side judges the other's Hello. What the cluster was made with must be the same on both: its
name, the hash of keys, the number of partitions. Epochs may differ, for a node may not have heard
of the last change yet; but two nodes at one epoch must mean the same by it. The listener's own
Hello says that it welcomes the dialer; Reject says why not, and closes. Crossed is no complaint:
the listener has a link to the dialer already, or has just dialed it itself, and two nodes keep one
link. A link is open to the dialer that has said Welcome, and to the listener that has heard it.

Up to version 2 the first frame was a Hello, in the clear. Such a node is told, in its own words,
that the versions differ, and nothing else. Version 3 told one version in its Challenge, and had no
other epoch on a link than its own.
"""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple

import msgspec

from kvorum.model.errors import ProtocolError
from kvorum.model.topology import EPOCH_MAX


class Versions(NamedTuple):
    """The versions of the protocol that a node speaks: these two, and all in between."""

    lowest: int
    highest: int

    def __str__(self) -> str:
        if self.lowest == self.highest:
            return f"version {self.highest}"
        return f"versions {self.lowest} to {self.highest}"

    def agreed(self, theirs: Versions) -> int | None:
        """The highest version that both sides speak; None if there is none."""
        highest = min(self.highest, theirs.highest)
        return highest if highest >= max(self.lowest, theirs.lowest) else None


PROTOCOL: Final = 6
SPOKEN: Final = Versions(PROTOCOL, PROTOCOL)
DIALER_FRAMES: Final = 3
LISTENER_FRAMES: Final = 2
NONCE_BYTES: Final = 32
ID_HEX_DIGITS: Final = 32
ACTOR_HEX_DIGITS: Final = 11
"""The part of a node's id, 44 bits, that its actors are made of; unique within a cluster."""

_REASON_CHARS_MAX: Final = 500


class Challenge(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The speaker's versions of the protocol, and random bytes of this handshake.

    `highest` comes first, where version 3 has the only one that it speaks and looks for ours.
    """

    highest: Annotated[int, msgspec.Meta(ge=0)]
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_BYTES, max_length=NONCE_BYTES)]
    lowest: Annotated[int, msgspec.Meta(ge=0)] | None = None

    @property
    def versions(self) -> Versions:
        return Versions(self.highest if self.lowest is None else self.lowest, self.highest)


class EarlierHello(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """What nodes up to version 2 say first, as far as it is read."""

    protocol: int

    @property
    def versions(self) -> Versions:
        return Versions(self.protocol, self.protocol)


class Hello(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """Who speaks, and in which cluster it believes itself to be.

    `fingerprint` is of the whole topology, `members` of what decides who owns what. `node_id` is
    the random id kept with the node's data; `incarnation` counts its lives.
    """

    cluster: str
    token_hash: str
    token_seed: int
    partitions: int
    epoch: Annotated[int, msgspec.Meta(ge=1, le=EPOCH_MAX)]
    fingerprint: str
    members: str
    node: str
    number: int
    node_id: Annotated[str, msgspec.Meta(pattern=rf"^[0-9a-f]{{{ID_HEX_DIGITS}}}\Z")]
    incarnation: Annotated[int, msgspec.Meta(ge=0)]


class Welcome(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """The link is open."""


class Reject(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """The speaker refuses the link, and why."""

    reason: str


class Crossed(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """Both nodes have dialed, and the listener keeps the other link."""


Verdict = Welcome | Reject | Crossed
Greeting = Challenge | EarlierHello | Hello | Verdict

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Greeting] = msgspec.msgpack.Decoder(Greeting)


def encode_greeting(greeting: Greeting) -> bytes:
    """`greeting` as bytes, not sealed."""
    return _encoder.encode(greeting)


def decode_greeting(data: bytes) -> Greeting:
    """The greeting in `data`. Raises ProtocolError if that is anything but one greeting."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"{len(data)} bytes of the handshake are no greeting: {error}."
        ) from error


def no_common_version(ours: Versions, theirs: Versions) -> str:
    """What speaks against a link between a node that speaks `ours` and one that speaks `theirs`."""
    return (
        f"A node that speaks {ours} of the protocol between nodes and one that speaks {theirs} do "
        "not understand each other. Run the same version of kvorum on both."
    )


def reject(reason: str) -> Reject:
    """A Reject that fits a handshake frame, however long `reason` is."""
    return Reject(reason[:_REASON_CHARS_MAX])


def same_actors(node_id: str, other: str) -> bool:
    """True if two node ids would make the same actors: dots of theirs could collide."""
    return node_id[:ACTOR_HEX_DIGITS] == other[:ACTOR_HEX_DIGITS]


def colliding_ids(node: str, node_id: str, other: str, other_id: str) -> str:
    """What speaks against a link where two nodes would make the same actors, as a sentence."""
    return (
        f"The node ids of {node!r} ({node_id}) and {other!r} ({other_id}) have the same first "
        f"{ACTOR_HEX_DIGITS} digits, so their writes could not be told apart. Never start two "
        "nodes from copies of one data directory."
    )


def veto(ours: Hello, theirs: Hello) -> str | None:
    """Why nodes that say `ours` and `theirs` must not talk, as a sentence; None if they may."""
    for what, here, there in (
        ("cluster", ours.cluster, theirs.cluster),
        ("token_hash", ours.token_hash, theirs.token_hash),
        ("token_seed", ours.token_seed, theirs.token_seed),
        ("partitions", ours.partitions, theirs.partitions),
    ):
        if here != there:
            return (
                f"The cluster files differ: {what} is {here!r} for {ours.node} and {there!r} for "
                f"{theirs.node!r}. Give both nodes the same cluster file."
            )
    if ours.epoch == theirs.epoch and ours.fingerprint != theirs.fingerprint:
        return (
            f"The cluster files of {ours.node} (fingerprint {ours.fingerprint}) and "
            f"{theirs.node!r} ({theirs.fingerprint!r}) have other nodes, though both are of "
            f"epoch {ours.epoch}. "
            "Give both nodes the same cluster file."
        )
    if theirs.node == ours.node:
        return (
            f"Two nodes use the name {ours.node!r}. Start each node of the cluster file once, at "
            "its own address."
        )
    if same_actors(ours.node_id, theirs.node_id):
        return colliding_ids(theirs.node, theirs.node_id, ours.node, ours.node_id)
    return None
