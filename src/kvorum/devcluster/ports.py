"""The ports of a local cluster: node i answers clients at P+i and other nodes at P+100+i."""

from __future__ import annotations

import errno
import random
import secrets
import socket
from collections.abc import Iterable
from typing import Any, Final

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
    """`nodes` nodes on loopback, from `port` on; without `settings`, the usual ones. The cluster
    has a name of its own, so that no other one takes its nodes' data for its own."""
    return Topology(
        cluster=f"local-{secrets.token_hex(4)}",
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


def check_ports(nodes: Iterable[NodeSpec]) -> None:
    """Raises ConfigError, which names them all, if any port of `nodes` cannot be listened on."""
    refused = [
        f"{address} ({node.name}) is {why}"
        for node in nodes
        for address in (node.http, node.peer)
        if address and (why := _refusal(*parse_address(address)))
    ]
    if refused:
        raise ConfigError(
            f"Cannot listen: {', '.join(refused)}. Stop what listens there (another kvorum?), or "
            "choose another port with --port or in the cluster file."
        )


def free_port(nodes: int) -> int:
    """A port P from which `nodes` nodes find all theirs free, below the range from which systems
    draw the ports of outgoing connections."""
    for port in random.sample(range(_UNPRIVILEGED, _EPHEMERAL - 2 * PEER_OFFSET), _ATTEMPTS):
        if _all_free(port, nodes):
            return port
    raise ConfigError(
        f"No {2 * nodes} free ports of {LOOPBACK} were found in {_ATTEMPTS} attempts. "
        "Name the first one with --port."
    )


def _all_free(port: int, nodes: int) -> bool:
    ports: Iterable[int] = [port + i + offset for i in range(nodes) for offset in (0, PEER_OFFSET)]
    return all(_is_free(LOOPBACK, port) for port in ports)


def _is_free(host: str, port: int) -> bool:
    return _refusal(host, port) is None


def _refusal(host: str, port: int) -> str | None:
    """Why nobody can listen there now; None if a server can be expected to."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        return f"unknown: {error.strerror}"
    errors = [_bind_error(socket.AddressFamily(family), address) for family, *_, address in found]
    if any(error and error.errno == errno.EADDRINUSE for error in errors):
        return "taken"
    # A name may have addresses besides that this machine lacks.
    return None if None in errors else f"refused: {errors[0]}"


def _bind_error(family: socket.AddressFamily, address: Any) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the node will: a port whose last connections linger in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        return error
    return None
