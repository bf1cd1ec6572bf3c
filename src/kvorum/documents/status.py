"""The document of GET /status: a cluster and a node, as that node sees them.

What a reader can do without has a default, so that it takes the document of a server that does not
tell it; members that it does not know are ignored.
"""

from __future__ import annotations

import msgspec

from kvorum.documents.node import NodeDescription
from kvorum.documents.resources import Resources
from kvorum.documents.storage import Storage
from kvorum.model.topology import NamespaceSettings


class HintStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The hints that the answering node keeps for another one."""

    pending: int = 0
    oldest_s: float = 0.0
    per_second: float = 0.0
    """How many are delivered per second."""
    missed_more: bool = False
    """True if the other node has missed writes that there are no hints for."""


class NodeStatus(NodeDescription, frozen=True, kw_only=True):
    """A node of the cluster, as the answering node sees it.

    `up`: linked, and not suspected. `since_ms`: when `state` began, or a node that is up
    last started, in ms since 1970. `phi`: how
    surprising the node's silence is. `dissenters`: nodes that last told of another state.
    `clock_ahead_ms`: by how much its clock is ahead of the answering node's; None if not known.
    """

    up: bool
    linked: bool = True
    state: str = "up"
    since_ms: int = 0
    phi: float = 0.0
    last_active_ms: int = 0
    dissenters: list[str] = msgspec.field(default_factory=list)
    is_self: bool = msgspec.field(name="self", default=False)
    hints_owed: int = 0
    hints: HintStatus | None = None
    clock_ahead_ms: int | None = None


class ClockStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The clock of the answering node. `off_ms`: by how much lifetimes are judged later than by it.

    `now_ms`: its time, in ms since 1970. `state`: what the node makes of it.
    """

    now_ms: int = 0
    state: str
    off_ms: int = 0


class CacheStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the answering node has in memory of one namespace; `hit_ratio` is None before a read."""

    entries: int
    bytes: int
    hits: int = 0
    misses: int = 0
    hit_ratio: float | None = None
    evicted: int = 0


class Connections(msgspec.Struct, frozen=True, kw_only=True):
    """Connections of clients with the answering node: open now, and at most.

    `accepted`: since the start. `given_up`: closed while idle to make room for others. `refused`:
    those that found none. `responses`: made on all of them. `unread_bytes`: of answers that clients
    have not taken, at most `unread_bytes_max`.
    """

    open: int
    max: int
    accepted: int = 0
    given_up: int = 0
    refused: int = 0
    responses: int = 0
    unread_bytes: int = 0
    unread_bytes_max: int = 0


class UnreadableTokens(msgspec.Struct, frozen=True, kw_only=True):
    """A span of tokens whose records are damaged on `nodes`; no other node has them."""

    first_token: str
    last_token: str
    partition: int
    since_ms: int
    nodes: list[str]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What the answering node does not answer for yet, and which nodes it waits for.

    `tokens`: spans of unverified tokens; `unreadable`: those of them that no node can give, of
    which the longest waiting are listed. `advice`: what ends that; empty if there are none.
    """

    to_compare: list[str] = []
    tokens: int = 0
    since_ms: int | None = None
    unreadable: int = 0
    unreadable_listed: list[UnreadableTokens] = []
    advice: str = ""


class AntiEntropyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the partitions that the answering node shares with others have been compared.

    `oldest_round_ms`: when the last complete round of the partition ended that has waited longest;
    None while one has had none. `repaired`: records.
    """

    trees_built: bool = True
    partitions: int
    compared: int
    oldest_round_ms: int | None = None
    repaired: int


class NamespaceCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries of a namespace there are, and the bytes of their encoded records.

    `keys`, `bytes`: in the partitions that the answering node answers for: those whose first owner
    among the nodes that it sees up is itself. So the sums over all nodes count each entry once.
    `held_keys`, `held_bytes`: of all copies that the answering node holds. Deleted entries do not
    count; expired ones do until they are removed.
    """

    keys: int = 0
    bytes: int = 0
    held_keys: int = 0
    held_bytes: int = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A cluster and the answering node. `counters` and `membership` count events since its start.

    `recovering`: it answers no reads yet. `forgot`: it lost writes that it had acknowledged, and
    has not got them back. `operations`: how many are under way. `counts`: of entries, by
    namespace. `counting`: they are being counted anew, after a start or where records were lost to
    damage; until that ends `counts` are the last complete ones, or after a start those so far.
    """

    cluster: str
    epoch: int
    node: str
    version: str
    uptime_s: float
    clock: ClockStatus | None = None
    nodes: list[NodeStatus]
    namespaces: dict[str, NamespaceSettings]
    counts: dict[str, NamespaceCounts] = {}
    counting: bool = False
    caches: dict[str, CacheStatus] = {}
    storage: Storage | None = None
    resources: Resources | None = None
    connections: Connections | None = None
    recovering: bool = False
    forgot: bool = False
    waiting: Waiting | None = None
    operations: int = 0
    anti_entropy: AntiEntropyStatus | None = None
    counters: dict[str, int] = {}
    membership: dict[str, int] = {}


class AcceptedClock(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to POST /clock/accept."""

    node: str
    clock: ClockStatus
