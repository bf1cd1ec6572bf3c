"""The messages that nodes send each other.

A message is a MessagePack array whose first item is its tag. A request carries `op`, the sender's
number for the operation, which comes back in the reply; a message without `op` has no reply of its
own. msgspec checks types and arity while it decodes, at C speed, so nothing malformed reaches a
handler. `docs/protocols.md` lists all messages: their senders and receivers, what answers them, and
what happens if no answer comes. `batches.py` is how several of them travel together.
"""

from __future__ import annotations

import msgspec

from kvorum.model.record import Context
from kvorum.model.request import Answer, Change, Failure
from kvorum.wire.security_messages import SecurityDigest, SecurityEntries, SecurityStored


class Write(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Merge `record` into the replica's record of the storage key `key`, durably.

    `base`: the digest of the record that `record` was made from, empty if there was none. A replica
    that has just that record takes the new one without decoding either: it is what it has plus one
    event. None where the record came about in another way (a merge). `anew`: all owners have said
    that they have lost what they had of the key.
    """

    op: int
    key: bytes
    record: bytes
    base: bytes | None = None
    anew: bool = False


class Wrote(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """The record of a `Write` or `Handoff` is durable here; the writes of a `Vouch` are mine."""

    op: int


class Read(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=3):
    """Send your record of the storage key `key`, unless it has this `digest`: the first 8 bytes of
    the asker's own encoded record; empty if it has none.
    """

    op: int
    key: bytes
    digest: bytes


class Same(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=4):
    """The record here has the digest that was given, or the partition the hash."""

    op: int


class Have(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=5):
    """The replica's encoded record; empty if it has none."""

    op: int
    record: bytes


class Coming(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=29):
    """A `Have` with a record of `size` bytes follows in pieces: wait for it longer."""

    op: int
    size: int


class Refused(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=6):
    """The request was not carried out: the code and the message of a KvorumError."""

    op: int
    code: str
    message: str


class Forward(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=7):
    """Coordinate this change of a client, as an owner of its key."""

    op: int
    request: Change


class Forwarded(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=8):
    """The answer to the client whose change was forwarded."""

    op: int
    result: Answer | Failure


class Scan(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=9):
    """Look through the next records in start <= storage key < end, at most `limit`, and send those
    of them whose storage keys go on with `wanted` behind the token. If `limit` is 0, send only the
    ranges that cannot be read.

    `hash`: of the asker's hash tree of the partition, under the placement rule `rule` (its id).
    Where the replica's is the same, and it can read all of the range, it answers just that; an
    empty one asks for the records in any case.
    """

    op: int
    start: bytes
    end: bytes
    limit: int
    wanted: bytes = b""
    rule: str = ""
    hash: bytes = b""


class Page(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=10):
    """Storage keys and encoded records in key order. `upto`: the last storage key that was looked
    at, if the range may go on behind it; empty if it has ended. `unreadable`: ranges of keys in the
    page that are damaged or unverified at the replica.
    """

    op: int
    pairs: list[tuple[bytes, bytes]]
    upto: bytes
    unreadable: list[tuple[bytes, bytes]] = []


class SyncState(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=11):
    """What the receiver has missed, as far as the sender knows, and the sender's own state.

    `behind`: the receiver lacks writes. `lost`: the sender knew another node of the receiver's
    name; None while it does not know the receiver's identity, and so cannot say. `recovering`: the
    sender's own copies are incomplete. `actor`: under which the sender writes, 0 if it does not
    say.
    """

    behind: bool
    lost: bool | None = None
    recovering: bool = False
    actor: int = 0


class Vouch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=30):
    """Has the receiver made the writes in `context`, which a record from outside lists?"""

    op: int
    context: Context


class GossipDigest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=12):
    """The members that the sender knows, as (node, generation, heartbeat).

    `accused`: the nodes that the sender takes to be suspect or down. `sent_at`: by the sender's
    monotonic clock.
    """

    members: list[tuple[int, int, int]]
    accused: list[int]
    sent_at: float | None = None


class GossipDelta(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=13):
    """News of members, as (node, generation, heartbeat, active_ms).

    `wanted`: the nodes of which the sender wants news. `asked_at`: `sent_at` of the digest that
    this answers; `wall_ms`: the sender's wall clock.
    """

    members: list[tuple[int, int, int, int]]
    wanted: list[int]
    asked_at: float | None = None
    wall_ms: int = 0


class Ping(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=14):
    """Are you there? `asker`: the node that wants to know, perhaps by way of the sender."""

    number: int
    asker: int


class Pong(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=15):
    """The answer to a `Ping`, with its number and asker."""

    number: int
    asker: int


class PingRequest(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=16):
    """Ping the node `target`, and report if it answers."""

    number: int
    target: int


class PingReport(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=17):
    """The target of the request `number` answered the sender's ping."""

    number: int


class Handoff(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=28):
    """Store `record` in the place of the node `owner`, with a hint."""

    op: int
    key: bytes
    record: bytes
    owner: int


Entries = list[tuple[bytes, bytes]]
"""Storage keys in ascending order, each with the digest of the record there."""


class Compare(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=18):
    """Which of these ranges have other hashes at yours? They are of one level of the hash trees
    under a placement rule (its id), with 8 bytes of hash each.
    """

    op: int
    rule: str
    level: int
    indices: list[int]
    hashes: bytes


class Differing(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=19):
    """The ranges of a `Compare` whose hashes differ."""

    op: int
    indices: list[int]


class Inventory(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=20):
    """How do your records in start <= key < end differ from mine, all `entries`, under a `rule`?"""

    op: int
    rule: str
    start: bytes
    end: bytes
    entries: Entries


class KeyDiff(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=21):
    """How the replica's records differ from an inventory, from its start to before `end`.

    `lacking`: the listed keys that the replica has no sound record of. `other`: the records that it
    has and that were not listed, or with another digest.
    """

    op: int
    end: bytes
    lacking: list[bytes]
    other: Entries


class RepairPartition(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=22):
    """Compare and repair a partition with its other owners.

    `start`, `end`: compare all keys of that range one by one; both empty: compare by the hash
    trees.
    """

    op: int
    rule: str
    partition: int
    start: bytes
    end: bytes


class PartitionRepaired(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=23):
    """How many keys were repaired. `complete`: every owner was compared with."""

    op: int
    repaired: int
    complete: bool


class TombstoneProposal(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=24):
    """Storage keys with the digests of their tombstones: may these be deleted?"""

    op: int
    entries: Entries


class TombstoneVeto(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=25):
    """The storage keys of a proposal whose tombstones are still needed here."""

    op: int
    keys: list[bytes]


class Forget(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=26):
    """Delete these tombstones, as all nodes agreed, where they are still the same."""

    entries: Entries


class Fetch(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=40):
    """As `Read`, for anti-entropy: a record is also sent if its token is unverified."""

    op: int
    key: bytes
    digest: bytes


class Survey(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=41):
    """For which tokens can you not answer?"""

    op: int


class Shortfall(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=42):
    """The tokens for which the sender cannot answer, as spans: see `repair/shortfall.py`."""

    op: int
    unread: list[tuple[bytes, bytes]]
    unverified: list[tuple[bytes, bytes]]


class Behind(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=43):
    """The request `op` was not carried out: the partition that it is about has other owners in its
    epoch than in `epoch`, which the receiver is at.
    """

    op: int
    epoch: int


class ViewUpdate(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=44):
    """What the receiver lacks to come to `epoch`. It is sent in a frame of its own."""

    epoch: int
    document: bytes


class Leaving(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=45):
    """The sender is about to stop: forward no more writes to it, and say when it owes you none."""

    op: int


class Released(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=46):
    """Every write that was forwarded to the node that is leaving has been answered."""

    op: int


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
    | Released
    | SecurityStored
)
"""The messages that carry the number of the operation that they answer."""

Message = (
    Reply
    | Handoff
    | Write
    | Read
    | Forward
    | Scan
    | SyncState
    | Vouch
    | GossipDigest
    | GossipDelta
    | Ping
    | Pong
    | PingRequest
    | PingReport
    | Compare
    | Inventory
    | RepairPartition
    | TombstoneProposal
    | Forget
    | Fetch
    | Survey
    | Behind
    | ViewUpdate
    | Leaving
    | SecurityDigest
    | SecurityEntries
)
