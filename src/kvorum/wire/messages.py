"""The messages nodes send each other, and their bytes.

A batch is one MessagePack array of messages; each message is an array whose first item is
its tag. msgspec checks types and arity while it decodes, at C speed, so nothing malformed
reaches a handler. `op` is the sender's number for the operation and comes back in the reply.

    request     reply                              what
    Write       Wrote | Refused                    merge a record into the replica, durably
    Handoff     Wrote | Refused                    the same, in the place of an owner that is away
    Read        Same | Have | Refused              digest of the asker's record in, record out
                Coming, Have                       where the record is long: first how long it is
    Forward     Forwarded                          coordinate this client request
    Scan        Page | Refused                     a page of one range of the key space
    Vouch       Wrote | Refused                    have you made these writes?
    SyncState    (none)                             whether the sender holds writes you missed
    GossipDigest   GossipDelta                     what the sender knows of the members
    GossipDelta    GossipDelta, if some are wanted news of members
    Ping           Pong                            are you there?
    PingRequest    PingReport, if it was reached   ping that node for me
    Compare        Differing | Refused             which of these ranges' hashes are not yours?
    Inventory      KeyDiff | Refused                the keys of one range, to be held against yours
    RepairPartition    PartitionRepaired | Refused  compare and repair a partition with its owners
    TombstoneProposal  TombstoneVeto | Refused      which of these tombstones are still needed?
    Forget         (none)                          drop these tombstones
    ViewUpdate     (none)                          what of the cluster's epochs the receiver lacks

Every request may be answered with Behind, where the two nodes' epochs differ in what it is about.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kvorum.model.errors import ProtocolError
from kvorum.model.record import Context
from kvorum.model.request import Answer, Change, Failure


class Write(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """`base`: the digest of the record that `record` was made from, empty if there was none.

    A replica that holds just that record takes the new one without a look into either: an
    event added to what it has. None where the record came about in another way (a merge). `anew`:
    all owners have said that what they had of the key is lost.
    """

    op: int
    key: bytes
    record: bytes
    base: bytes | None = None
    anew: bool = False


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


class Coming(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=29):
    """The reply to `op` has so many bytes, and is on its way in pieces."""

    op: int
    size: int


class Refused(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    op: int
    code: str
    message: str


class Forward(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    op: int
    request: Change


class Forwarded(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    op: int
    result: Answer | Failure


class Scan(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """start <= storage key < end, at most `limit` records; if that is 0, only what is damaged."""

    op: int
    start: bytes
    end: bytes
    limit: int


class Page(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Storage keys and encoded records in key order; `more` if the range goes on. `unreadable`:
    ranges of keys in the page for which the replica cannot speak.
    """

    op: int
    pairs: list[tuple[bytes, bytes]]
    more: bool
    unreadable: list[tuple[bytes, bytes]] = []


class SyncState(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    """`behind`: the receiver lacks writes. `lost`: the sender knew another node of its name; None
    while the sender has not been introduced, and so cannot say. `recovering`: the sender's own
    copies are incomplete. `actor`: under which the sender writes, 0 if it does not say.
    """

    behind: bool
    lost: bool | None = None
    recovering: bool = False
    actor: int = 0


class Vouch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=30):
    """`context`: what a record from outside lists of the receiver's writes."""

    op: int
    context: Context


class GossipDigest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=12):
    """Members as (node, generation, heartbeat). `accused`: nodes the sender does not hold up.
    `sent_at`: by the sender's monotonic clock.
    """

    members: list[tuple[int, int, int]]
    accused: list[int]
    sent_at: float | None = None


class GossipDelta(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=13):
    """Members as (node, generation, heartbeat, active_ms). `wanted`: nodes to send news of.
    `asked_at`: `sent_at` of the digest that this answers; `wall_ms`: the sender's wall clock.
    """

    members: list[tuple[int, int, int, int]]
    wanted: list[int]
    asked_at: float | None = None
    wall_ms: int = 0


class Ping(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=14):
    """`asker`: the node that wants to know; the sender itself, or the one it pings for."""

    number: int
    asker: int


class Pong(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=15):
    number: int
    asker: int


class PingRequest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=16):
    number: int
    target: int


class PingReport(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=17):
    """The target of the request `number` answered the sender's ping."""

    number: int


class Handoff(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=28):
    """`record` for the node `owner`: keep it, with a hint, and ack."""

    op: int
    key: bytes
    record: bytes
    owner: int


Entries = list[tuple[bytes, bytes]]
"""Storage keys in ascending order, each with the digest of the record there."""


class Compare(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=18):
    """The hashes of ranges of one level of the trees under a placement rule (its id), 8 bytes
    each.
    """

    op: int
    rule: str
    level: int
    indices: list[int]
    hashes: bytes


class Differing(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=19):
    """Those of the ranges asked about whose hash is another one here."""

    op: int
    indices: list[int]


class Inventory(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=20):
    """All that the sender holds in start <= storage key < end, under a placement rule (its id)."""

    op: int
    rule: str
    start: bytes
    end: bytes
    entries: Entries


class KeyDiff(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=21):
    """How the replica's records differ, from the start of the inventory to before `end`.

    `lacking`: listed keys that it does not hold soundly. `other`: what it holds that was not
    listed, or with another digest.
    """

    op: int
    end: bytes
    lacking: list[bytes]
    other: Entries


class RepairPartition(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=22):
    """`start`, `end`: compare all keys of that range, without trust in trees; empty: use them."""

    op: int
    rule: str
    partition: int
    start: bytes
    end: bytes


class PartitionRepaired(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=23):
    """`complete`: every owner was compared with."""

    op: int
    repaired: int
    complete: bool


class TombstoneProposal(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=24):
    op: int
    entries: Entries


class TombstoneVeto(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=25):
    op: int
    keys: list[bytes]


class Forget(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=26):
    entries: Entries


class Fetch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=40):
    """As `Read`, from one who compares: what is held there, also if its holder cannot vouch for it.
    The answers are those to a `Read`.
    """

    op: int
    key: bytes
    digest: bytes


class Survey(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=41):
    """Of what are you short? The answer is a `Shortfall`."""

    op: int


class Shortfall(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=42):
    """Spans of tokens, each with its first and its last: see `replication/shortfall.py`."""

    op: int
    unread: list[tuple[bytes, bytes]]
    unverified: list[tuple[bytes, bytes]]


class Behind(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=43):
    """The request `op` was not carried out: its sender's epoch and the receiver's differ in what it
    is about. `epoch`: the receiver's.
    """

    op: int
    epoch: int


class ViewUpdate(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=44):
    """What the receiver lacks to come to `epoch`. It travels in a frame of its own."""

    epoch: int
    document: bytes


Message = (
    Handoff
    | Write
    | Wrote
    | Read
    | Same
    | Have
    | Coming
    | Refused
    | Forward
    | Forwarded
    | Scan
    | Page
    | SyncState
    | Vouch
    | GossipDigest
    | GossipDelta
    | Ping
    | Pong
    | PingRequest
    | PingReport
    | Compare
    | Differing
    | Inventory
    | KeyDiff
    | RepairPartition
    | PartitionRepaired
    | TombstoneProposal
    | TombstoneVeto
    | Forget
    | Fetch
    | Survey
    | Shortfall
    | Behind
    | ViewUpdate
)

Reply = (
    Wrote
    | Same
    | Have
    | Coming
    | Refused
    | Forwarded
    | Page
    | Differing
    | KeyDiff
    | PartitionRepaired
    | TombstoneVeto
    | Shortfall
)
"""What names the operation that it is for."""

_BATCH_HEAD_BYTES: Final = 5
"""At most: the mark and the length of a MessagePack array."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Message])


def encode_batch(messages: list[Message]) -> bytes:
    return _encoder.encode(messages)


class Packed(NamedTuple):
    """What a list of messages becomes where it is too long for one batch.

    `batches`: payloads, each with the number of its messages. `wholes`: batches of one message
    that is too long by itself (`pieces.py`).
    """

    batches: list[tuple[bytes, int]]
    wholes: list[bytes]


def pack(messages: list[Message], bytes_max: int) -> Packed:
    """All of `messages`, in batches of at most `bytes_max` bytes where they fit. Keeps order
    among the short ones, and among the long ones.
    """
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
    """Raises ProtocolError if `data` is anything but one batch."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"wanted a batch of messages, got {len(data)} bytes: {error}"
        ) from error
