"""A secure cluster of three real nodes, and requests to it over TLS."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kit.program import Program
from kvorum.tls.client import client_context

NODES = 3


@dataclass
class SecureCluster:
    """`up`: the process of `kvorum up`; `lines`: what it has printed."""

    directory: Path
    port: int
    up: Program
    lines: list[str]

    @property
    def authority(self) -> Path:
        return self.directory / "certs" / "ca.crt"

    @property
    def token(self) -> str:
        return (self.directory / "admin.token").read_text().strip()

    @property
    def url(self) -> str:
        servers = ",".join(f"127.0.0.1:{self.port + node}" for node in range(NODES))
        return f"kvorums://{servers}?ca={self.authority}"

    def context(self) -> ssl.SSLContext:
        return client_context(self.authority, None, None)

    def connect(self, node: int = 0) -> http.client.HTTPSConnection:
        """A connection to a node, counted from 0."""
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port + node, context=self.context(), timeout=20
        )

    def ask(
        self,
        method: str,
        target: str,
        token: str | None = None,
        body: Any = None,
        fields: dict[str, str] | None = None,
        node: int = 0,
    ) -> tuple[int, bytes]:
        """Status and body of the answer."""
        connection = self.connect(node)
        try:
            return ask_on(connection, method, target, token, body, fields)
        finally:
            connection.close()

    def make_token(self, **wish: Any) -> str:
        status, answer = self.ask("POST", "/tokens", self.token, wish)
        assert status == 201, answer
        return str(json.loads(answer)["token"])


def ask_on(
    connection: http.client.HTTPSConnection,
    method: str,
    target: str,
    token: str | None = None,
    body: Any = None,
    fields: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Ask on a connection that stays open."""
    head = {} if token is None else {"Authorization": f"Bearer {token}"}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    if data is not None:
        head["Content-Type"] = "application/json"
    connection.request(method, target, data, head | (fields or {}))
    answer = connection.getresponse()
    return answer.status, answer.read()
