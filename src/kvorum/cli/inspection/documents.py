"""The documents in which a server speaks of its cluster, as far as tables show them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from kvorum.model.errors import ProtocolError


class StatusHints(msgspec.Struct):
    pending: int = 0
    oldest_s: float = 0.0
    per_second: float = 0.0


class StatusNode(msgspec.Struct):
    name: str
    http: str
    peer: str
    up: bool
    dc: str = ""
    rack: str = ""
    host: str = ""
    weight: float = 1.0
    hints_owed: int = 0
    linked: bool = True
    state: str = "up"
    since_ms: int = 0
    phi: float = 0.0
    dissenters: list[str] = []
    clock_ahead_ms: int | None = None
    hints: StatusHints | None = None


class StatusNamespace(msgspec.Struct):
    replicas: int
    read: int
    write: int
    durability: str
    quorum: str = "strict"


class StatusRounds(msgspec.Struct):
    """Of the partitions that the server owns with others."""

    partitions: int
    compared: int
    repaired: int
    oldest_round_ms: int | None = None


class StatusCache(msgspec.Struct):
    """What the server has in memory of one namespace."""

    entries: int
    bytes: int
    hit_ratio: float | None = None
    evicted: int = 0


class StorageVolume(msgspec.Struct):
    logical_bytes: int
    stored_bytes: int
    counted: str


class ScrubPass(msgspec.Struct):
    ended_ms: int


class StorageScrub(msgspec.Struct):
    running: bool
    whole: ScrubPass | None = None
    fraction: float = 0.0
    eta_s: float | None = None


class StorageQuarantine(msgspec.Struct):
    damaged: int
    more: int = 0
    partitions: dict[str, int] = {}


class Storage(msgspec.Struct):
    scrub: StorageScrub
    quarantine: StorageQuarantine
    volumes: dict[str, StorageVolume] = {}
    damaged_files: dict[str, str] = {}


class StatusClock(msgspec.Struct):
    """Of the server that answers."""

    state: str
    off_ms: int = 0


class StatusConnections(msgspec.Struct):
    """Those of clients with the server."""

    open: int
    max: int
    given_up: int = 0
    refused: int = 0


class StatusUnreadable(msgspec.Struct):
    """Tokens whose records are damaged wherever they were."""

    first_token: str
    last_token: str
    partition: int
    since_ms: int
    nodes: list[str]


class StatusWaiting(msgspec.Struct):
    """What the server does not answer for, and whom it waits for."""

    to_compare: list[str] = []
    tokens: int = 0
    unreadable: int = 0
    unreadable_listed: list[StatusUnreadable] = []
    advice: str = ""


class Status(msgspec.Struct):
    cluster: str
    epoch: int
    node: str
    version: str
    uptime_s: float
    nodes: list[StatusNode]
    namespaces: dict[str, StatusNamespace]
    anti_entropy: StatusRounds | None = None
    recovering: bool = False
    clock: StatusClock | None = None
    waiting: StatusWaiting | None = None
    caches: dict[str, StatusCache] = {}
    storage: Storage | None = None
    connections: StatusConnections | None = None


class RingNode(msgspec.Struct):
    name: str
    weight: float
    tokens: int
    primary: int
    replica: int
    share: float
    fair_share: float


class Ring(msgspec.Struct):
    partitions: int
    nodes: list[RingNode]
    balance: float


class Replica(msgspec.Struct):
    node: str
    up: bool
    state: str
    clock: list[tuple[str, int, int]] | None = None


class Location(msgspec.Struct):
    key: str
    namespace: str
    token: str
    partition: int
    replicas: list[Replica]


_T = TypeVar("_T")


def read(document: dict[str, Any], kind: type[_T]) -> _T:
    """Raises ProtocolError."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError(
            f"the server speaks of itself in a way this version does not know ({error}); "
            "use -o json, or a kvorum of the server's version"
        ) from error
