"""The messages that nodes send each other.

A message is a MessagePack array whose first item is its tag. A request carries `op`, the sender's
number for the operation, which comes back in the reply; a message without `op` has no reply of its
own. msgspec checks types and arity while it decodes, at C speed, so nothing malformed reaches a
handler. `docs/protocols.md` lists all messages: who sends them to whom, what answers them, and what
happens if no answer comes. `batches.py` is how several of them travel together.
"""

from __future__ import annotations

import msgspec

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
