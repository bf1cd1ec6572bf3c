"""The ports of a local cluster: node i answers clients at P+i and other nodes at P+100+i."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable
from typing import Final

from kvorum.model.address import PORT_MAX, parse_address
from kvorum.model.errors import ConfigError
from kvorum.model.topology import NamespaceSettings, NodeSpec, Topology

LOOPBACK: Final = "127.0.0.1"
PEER_OFFSET: Final = 100
NODES_MAX: Final = PEER_OFFSET
PORT_LAST: Final = PORT_MAX - 2 * PEER_OFFSET

_UNPRIVILEGED: Final = 10_000
_EPHEMERAL: Final = 32_768
_ATTEMPTS: Final = 200


def local_topology(nodes: int, port: int, settings: NamespaceSettings | None = None) -> Topology:
    """`nodes` nodes on loopback, from `port` on; without `settings`, the usual ones."""
    return Topology(
        cluster="local",
        nodes=tuple(
            NodeSpec(
                name=f"n{i + 1}",
                http=f"{LOOPBACK}:{port + i}",
                peer=f"{LOOPBACK}:{port + PEER_OFFSET + i}",
            )
            for i in range(nodes)
        ),
        namespaces={} if settings is None else {"default": settings},
    )


def check_ports(topology: Topology) -> None:
    """Raises ConfigError, which names them all, if any port of `topology` is taken."""
    taken = [
        f"{address} ({node.name})"
        for node in topology.nodes
        for address in (node.http, node.peer)
        if address and not _is_free(*parse_address(address))
    ]
    if taken:
        raise ConfigError(
            f"wanted free ports, got taken ones: {', '.join(taken)}; stop what listens there "
            "(another kvorum?) or choose another port"
        )


def free_port(nodes: int) -> int:
    """A port P from which `nodes` nodes find all theirs free.

    Below the range from which systems draw the ports of outgoing connections, so that none
    of those takes it before the nodes do.
    """
    for port in random.sample(range(_UNPRIVILEGED, _EPHEMERAL - 2 * PEER_OFFSET), _ATTEMPTS):
        if _all_free(port, nodes):
            return port
    raise ConfigError(
        f"wanted {2 * nodes} free ports of {LOOPBACK}, got none in {_ATTEMPTS} attempts"
    )


def _all_free(port: int, nodes: int) -> bool:
    ports: Iterable[int] = [port + i + offset for i in range(nodes) for offset in (0, PEER_OFFSET)]
    return all(_is_free(LOOPBACK, port) for port in ports)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As the node will: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
        return True
