"""The document of GET /ring: how the partitions are shared, and all that placement depends on."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from kvorum.documents.node import NodeDescription
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology


class RingNode(NodeDescription, frozen=True, kw_only=True):
    """A node's part of the ring. `primary`: partitions that it is the first replica of; `replica`:
    those that it is another replica of. `share` and `fair_share`: of all copies, from 0 to 1.
    """

    tokens: int
    primary: int
    replica: int
    share: float
    fair_share: float


class RingNamespace(msgspec.Struct, frozen=True, kw_only=True):
    """A namespace, as far as placement goes. `hash_tags`: keys are placed by what is in braces."""

    replicas: int
    hash_tags: bool = False


class Ring(msgspec.Struct, frozen=True, kw_only=True):
    """The ring as `node` knows it; replicas, shares and balance are of the default namespace.

    `balance`: the fullest node's share over its fair share.
    """

    node: str
    cluster: str
    epoch: int
    token_hash: str
    token_seed: int
    partitions: int
    replicas: int
    namespaces: dict[str, RingNamespace]
    nodes: list[RingNode]
    balance: float

    @property
    def topology(self) -> Topology:
        """The topology, as far as placement goes. Raises ConfigError if it is impossible."""
        described = NodeSpec.__struct_fields__
        return Topology(
            cluster=self.cluster,
            epoch=self.epoch,
            partitions=self.partitions,
            token_hash=self.token_hash,
            token_seed=self.token_seed,
            nodes=tuple(
                NodeSpec(**{field: getattr(node, field) for field in described})
                for node in self.nodes
            ),
            namespaces={
                name: replace(
                    NamespaceSettings.majority(namespace.replicas), hash_tags=namespace.hash_tags
                )
                for name, namespace in self.namespaces.items()
            },
        )
