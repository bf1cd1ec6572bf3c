"""The certificates of a whole cluster, made at once where all of it lives on one machine."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Final

from kvorum.certificates.authority import NODE_DAYS, Authority, Issued
from kvorum.certificates.reading import certificates_in, expires_at
from kvorum.model.address import parse_address
from kvorum.model.topology import NodeSpec, Topology

RENEWED_DAYS: Final = 30


def issue_for(topology: Topology, directory: Path) -> list[Issued]:
    """Make an authority and a certificate for each node of `topology`. Raises ConfigError."""
    authority = Authority.create(directory, topology.cluster)
    return [
        authority.issue_node(node.name, hosts_of_node(node), NODE_DAYS) for node in topology.nodes
    ]


def renew_for(topology: Topology, directory: Path, within_days: int = RENEWED_DAYS) -> list[Issued]:
    """Issue the certificates of nodes anew that are missing, or expire within so many days. Raises
    ConfigError.
    """
    authority = Authority.open(directory)
    limit = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=within_days)
    return [
        authority.issue_node(node.name, hosts_of_node(node), NODE_DAYS)
        for node in topology.nodes
        if _expires(authority, node.name) < limit
    ]


def _expires(authority: Authority, name: str) -> datetime.datetime:
    file = authority.directory.certificate(name)
    if not file.exists():
        return datetime.datetime.fromtimestamp(0, datetime.UTC)
    return expires_at(certificates_in(file.read_bytes(), file)[0])


def hosts_of_node(node: NodeSpec) -> list[str]:
    """Where clients and other nodes reach `node`."""
    addresses = [parse_address(text) for text in (node.http, node.peer) if text]
    return list(dict.fromkeys(address.host for address in addresses))
