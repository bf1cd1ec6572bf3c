"""The server under test and clients that send any bytes at all."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from kit.key_admin import FakeKeyAdmin
from kit.namespaces import FakeNamespaces
from kit.node import SECRET, FakeNode, actor_name
from kit.security import FakeSecurity
from kit.snapshots import FakeSnapshots
from kvorum.api.http.face import HttpFace
from kvorum.api.http.host_names import HostNames
from kvorum.api.http.limits import HttpLimits
from kvorum.api.limits import ApiLimits
from kvorum.api.routes import Routes, api_routes
from kvorum.listener.limits import ListenerLimits
from kvorum.listener.listener import Listener
from kvorum.runtime.loop import LoopRuntime
from kvorum.service.access import OPEN, Policy
from kvorum.service.administration import Administration, NodeParts
from kvorum.service.audit import UNAUDITED, Auditor
from kvorum.service.audited_service import service_for
from kvorum.service.authentication import OPEN_TO_ALL, Authenticator
from kvorum.service.limits import ServiceLimits
from kvorum.service.service import Service

NAMES = HostNames(["a", "b"])
"""Those of the server under test."""

both_loops = pytest.mark.parametrize("web", ["uvloop", "asyncio"], indirect=True)


@dataclass(frozen=True)
class Response:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def finish_sending(self) -> None:
        self._writer.write_eof()

    async def response(self, to: str = "GET") -> Response:
        """The next response; `to` is the method it answers, which decides about its body."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("ascii")
        start, *lines = head.rstrip("\r\n").split("\r\n")
        fields = {name.lower(): value for name, _, value in (x.partition(": ") for x in lines)}
        status = int(start.split(" ")[1])
        size = 0 if to == "HEAD" or status in (100, 304) else int(fields["content-length"])
        return Response(status, fields, await self._reader.readexactly(size))

    async def ask(
        self, method: str, path: str, body: bytes | None = None, **fields: str
    ) -> Response:
        self.send(request(method, path, body, **fields))
        return await self.response(method)

    async def closed(self) -> None:
        """Wait until the server closes; fail if it says anything more."""
        assert await self._reader.read() == b""

    def reset(self) -> None:
        """Go without a goodbye: the server sees a reset connection."""
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


def request(method: str, path: str, body: bytes | None = None, **fields: str) -> bytes:
    """Header fields are given as keywords: if_match='"x"'. A body is JSON if they do not say."""
    if body is not None:
        fields = {"content_type": "application/json"} | fields
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")


def routes_of(node: FakeNode) -> Routes:
    """The whole API in front of `node`."""
    service = Service(node, SECRET, actor_name)
    parts = NodeParts(
        introspection=node,
        metrics=node,
        health_checks=node,
        repairs=node,
        snapshots=FakeSnapshots(),
        key_admin=FakeKeyAdmin(),
        namespaces=FakeNamespaces(),
    )
    security = FakeSecurity().administration(service)
    return api_routes(service, Administration(service, parts), security=security)


TEST_S = 20.0


class Web:
    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self.node = FakeNode()
        self.key_admin = FakeKeyAdmin()
        self.namespaces = FakeNamespaces()
        self.snapshots = FakeSnapshots()
        self.security: FakeSecurity | None = FakeSecurity()
        """None: a cluster that authenticates nobody."""
        self.routes: Routes
        self.server: Listener
        self.address = ("", 0)
        self._clients: list[Client] = []

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run `test` on this loop, within a time that no test needs."""
        self._runner.run(asyncio.wait_for(test, TEST_S))

    async def start(
        self,
        listener: ListenerLimits | None = None,
        http: HttpLimits | None = None,
        api: ApiLimits | None = None,
        service: ServiceLimits | None = None,
        names: HostNames = NAMES,
        policy: Policy = OPEN,
        auditor: Auditor = UNAUDITED,
        authenticator: Authenticator = OPEN_TO_ALL,
    ) -> None:
        door = service_for(auditor)(self.node, SECRET, actor_name, service, policy, auditor=auditor)
        parts = NodeParts(
            introspection=self.node,
            metrics=self.node,
            health_checks=self.node,
            repairs=self.node,
            snapshots=self.snapshots,
            key_admin=self.key_admin,
            namespaces=self.namespaces,
        )
        security = None if self.security is None else self.security.administration(door)
        self.routes = api_routes(door, Administration(door, parts), api, security)
        self.server = Listener(LoopRuntime(asyncio.get_running_loop()), listener)
        face = HttpFace(self.routes, http, names, authenticator)
        self.address = await self.server.listen(face, "127.0.0.1", 0)

    async def client(self, receive_buffer: int | None = None) -> Client:
        """A new connection; starts a server with the default limits if none runs."""
        if not self.address[1]:
            await self.start()
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(sock, self.address)
        except OSError:
            sock.close()
            raise
        limit = 1 << 16 if receive_buffer is None else receive_buffer
        client = Client(*await asyncio.open_connection(sock=sock, limit=limit))
        self._clients.append(client)
        return client

    async def ask(
        self, method: str, path: str, body: bytes | None = None, **fields: str
    ) -> Response:
        """One request on a connection of its own."""
        client = await self.client()
        response = await client.ask(method, path, body, **fields)
        await client.close()
        return response

    async def put(self, key: str, value: bytes, **fields: str) -> Response:
        body = b'{"key":%b,"value":%b}' % (msgspec.json.encode(key), value)
        return await self.ask("POST", "/entry", body, **fields)

    async def until(self, condition: Any) -> None:
        """Wait for `condition()`; the test's own deadline bounds it."""
        while not condition():
            await asyncio.sleep(0.002)

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        if self.address[1]:
            await self.server.close(drain_s=5)
