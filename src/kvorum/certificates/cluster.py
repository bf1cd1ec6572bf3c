"""The certificates of a whole cluster, made at once where all of it lives on one machine."""

from __future__ import annotations

from pathlib import Path

from kvorum.certificates.authority import NODE_DAYS, Authority, Issued
from kvorum.model.address import parse_address
from kvorum.model.topology import NodeSpec, Topology


def issue_for(topology: Topology, directory: Path) -> list[Issued]:
    """Make an authority and a certificate for each node of `topology`. Raises ConfigError."""
    authority = Authority.create(directory, topology.cluster)
    return [
        authority.issue_node(node.name, hosts_of_node(node), NODE_DAYS) for node in topology.nodes
    ]


def hosts_of_node(node: NodeSpec) -> list[str]:
    """Where clients and other nodes reach `node`."""
    addresses = [parse_address(text) for text in (node.http, node.peer) if text]
    return list(dict.fromkeys(address.host for address in addresses))
