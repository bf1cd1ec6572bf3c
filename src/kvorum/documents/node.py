"""A node as the topology describes it, in documents that list the nodes of a cluster."""

from __future__ import annotations

import msgspec

from kvorum.model.topology import UNNUMBERED


class NodeAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A node and where clients reach it (`http`, host:port)."""

    name: str
    http: str


class NodeDescription(NodeAddress, frozen=True, kw_only=True):
    """A node as the topology describes it; see `model/topology.py`."""

    peer: str
    dc: str = ""
    rack: str = ""
    host: str = ""
    weight: float = 1.0
    number: int = UNNUMBERED


class Members(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a status that says which nodes there are and where."""

    nodes: list[NodeAddress]
