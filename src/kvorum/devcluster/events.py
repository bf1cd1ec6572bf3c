"""What happens to a local cluster, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Callable

import msgspec


class Starting(msgspec.Struct, frozen=True, tag_field="event", tag="starting"):
    """The process of a node was started."""

    node: str
    pid: int


class Ready(msgspec.Struct, frozen=True, tag_field="event", tag="ready"):
    """`seconds` is the time from the process's start."""

    node: str
    pid: int
    http: str
    peer: str
    seconds: float


class ClusterReady(msgspec.Struct, frozen=True, tag_field="event", tag="cluster_ready"):
    """All nodes are; `url` is for a client."""

    url: str
    seconds: float


class Said(msgspec.Struct, frozen=True, tag_field="event", tag="log"):
    """A line of the node's log."""

    node: str
    line: str


class Died(msgspec.Struct, frozen=True, tag_field="event", tag="died"):
    """It ended though nobody asked it to; it is started again after `restart_s` seconds."""

    node: str
    pid: int
    reason: str
    restart_s: float


class Stopped(msgspec.Struct, frozen=True, tag_field="event", tag="stopped"):
    """It ended because it was asked to; if not `clean`, for `reason`."""

    node: str
    pid: int
    clean: bool
    reason: str


Event = Starting | Ready | ClusterReady | Said | Died | Stopped
Listener = Callable[[Event], object]
