"""What `instructions.py` counts: so many gets or puts, from bytes to bytes, on three nodes."""

from __future__ import annotations

import gc
import sys
from itertools import count
from typing import Any, Final

from kit.one_connection import OneConnection
from kit.stage import Stage

from kvorum.api.http.face import HttpFace
from kvorum.api.http.host_names import HostNames
from kvorum.api.routes import api_routes
from kvorum.listener.connection import Connection
from kvorum.model.topology import NamespaceSettings
from kvorum.service.administration import Administration, NodeParts
from kvorum.service.service import Service

CONNECTIONS: Final = 32
KEYS: Final = 640


class Gathered(OneConnection):
    """A connection whose answers are written when all have been made, as a listener does."""

    ready: Final[list[Connection]] = []

    def write_soon(self, connection: Connection) -> None:
        self.ready.append(connection)


class World:
    """Three nodes, and clients of the first one."""

    def __init__(self) -> None:
        self._stage = Stage(3, NamespaceSettings.majority(3))
        self._stage.settle()
        node = self._stage.nodes[0]
        assert node is not None
        service = Service(node, b"s" * 32, str, **measured())
        nobody: Any = None
        parts = NodeParts(**dict.fromkeys(NodeParts.__annotations__, nobody))
        face = HttpFace(api_routes(service, Administration(service, parts)), names=HostNames([]))
        face.on_tick(self._stage.clock.wall_ms())
        self._clients = [Gathered(face) for _ in range(CONNECTIONS)]
        for client in self._clients:
            client.connect()
        self._stamps = count(1)

    def ask(self, kind: str, requests: int) -> None:
        """Make so many requests; those of all connections at a time."""
        for _ in range(0, requests, CONNECTIONS):
            for client in self._clients:
                client.wire.sent = b""
                client.connection.data_received(request(kind, next(self._stamps)))
            self._stage.settle()
            for connection in Gathered.ready:
                connection.write_ready()
            Gathered.ready.clear()
            assert all(client.wire.sent[9:10] == b"2" for client in self._clients)


def measured() -> dict[str, Any]:
    """The latencies that a service is to measure; none where a checkout has no such thing yet."""
    try:
        from kvorum.service.latencies import Latencies
    except ImportError:
        return {}
    return {"latencies": Latencies()}


def request(kind: str, stamp: int) -> bytes:
    """One of this kind; no two puts store the same."""
    key = stamp % KEYS
    if kind == "get":
        return b"GET /entry/key%05d HTTP/1.1\r\nHost: localhost\r\n\r\n" % key
    body = b'{"key":"key%05d","value":"%012d%b"}' % (key, stamp, b"x" * 88)
    head = b"POST /entry HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def main() -> None:
    kind, requests = sys.argv[1], int(sys.argv[2])
    gc.disable()
    world = World()
    world.ask("put", KEYS)
    world.ask(kind, requests)


if __name__ == "__main__":
    main()
