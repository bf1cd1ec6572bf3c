"""Who owns a key, in order of preference, as a server tells it in GET /ring.

    key -> token -> partition -> owners

A server says which node it is, and of what its topology consists as far as placement goes.
The rest is worked out here, by the function that the nodes use (`model/placement.py`). A ring
that is out of date names owners of yesterday, who forward what is not theirs.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from kvorum.client.answers import Answer
from kvorum.client.requests import Subject
from kvorum.model.errors import ProtocolError
from kvorum.model.keys import TOKEN_HASHES, encode_key
from kvorum.model.placement import Placement
from kvorum.model.topology import (
    DEFAULT_NAMESPACE,
    UNNUMBERED,
    NamespaceSettings,
    NodeSpec,
    Topology,
)


class _Identity(msgspec.Struct):
    node: str


class _Node(msgspec.Struct):
    name: str
    http: str
    peer: str
    dc: str
    rack: str
    host: str
    weight: float
    number: int = UNNUMBERED


class _Namespace(msgspec.Struct):
    replicas: int


class _Layout(msgspec.Struct):
    cluster: str
    epoch: int
    partitions: int
    token_hash: str
    token_seed: int
    nodes: list[_Node]
    namespaces: dict[str, _Namespace]


class Told(NamedTuple):
    """What one server tells: the node it is, and its topology as far as placement goes."""

    node: str
    topology: Topology


_identity: Final = msgspec.json.Decoder(_Identity)
_layout: Final = msgspec.json.Decoder(_Layout)


def read(answer: Answer) -> Told:
    """Raises ProtocolError if it tells no ring, ConfigError if it tells an impossible one."""
    if not answer.ok:
        raise ProtocolError(f"wanted a ring, got HTTP {answer.status}")
    try:
        node, layout = _identity.decode(answer.body).node, _layout.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(
            f"wanted a ring that names its nodes, got another: {error}; is it an older kvorum?"
        ) from error
    return Told(node, _topology(layout))


def _topology(layout: _Layout) -> Topology:
    return Topology(
        cluster=layout.cluster,
        epoch=layout.epoch,
        partitions=layout.partitions,
        token_hash=layout.token_hash,
        token_seed=layout.token_seed,
        nodes=tuple(NodeSpec(**msgspec.structs.asdict(node)) for node in layout.nodes),
        namespaces={
            name: NamespaceSettings.majority(namespace.replicas)
            for name, namespace in layout.namespaces.items()
        },
    )


class Ring:
    __slots__ = ("_placement", "_token_hash", "topology")

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._placement = Placement(topology)
        self._token_hash = TOKEN_HASHES[topology.token_hash]

    def owners(self, about: Subject) -> list[str]:
        """The names of the nodes that own the entry; none if its namespace is not known."""
        topology, placement = self.topology, self._placement
        settings = topology.namespaces.get(about.namespace or DEFAULT_NAMESPACE)
        if settings is None:
            return []
        token = self._token_hash(encode_key(about.key), topology.token_seed)
        owners = placement.owners(placement.partition(token), settings.rule)
        return [topology.node(node).name for node in owners]
