"""How the nodes of a local cluster are asked: over TLS and with a token, if it is a secure one."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

from kvorum.devcluster.layout import Layout
from kvorum.model.address import parse_address
from kvorum.tls.client import client_context

_ANSWER_S: Final = 2.0
_OK: Final = 200


class Refused(Exception):
    """A node does not answer this question to whoever asks it so. The text says why."""


class NodeAccess:
    """Asks nodes. `tls` and `token_file`: None for an open cluster."""

    def __init__(self, tls: ssl.SSLContext | None = None, token_file: Path | None = None) -> None:
        self._tls = tls
        self._token_file = token_file

    @classmethod
    def to(cls, layout: Layout) -> NodeAccess:
        """To the cluster in that directory. Raises ConfigError if its authority cannot be read."""
        if not layout.is_secure:
            return cls()
        authority = layout.certificates / "ca.crt"
        return cls(client_context(authority, None, None), layout.admin_token)

    async def answer(self, http: str, path: str, *, whatever_status: bool = False) -> bytes:
        """The body of the answer of the node at `http`.

        Raises OSError, EOFError or TimeoutError if there is none, and Refused if its status is not
        200, unless `whatever_status`.
        """
        address = parse_address(http)
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(
                address.host,
                address.port,
                ssl=self._tls,
                server_hostname=None if self._tls is None else address.host,
            )
            try:
                writer.write(self._request(http, path))
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        status = int(head.split(b" ", 2)[1]) if head else 0
        if status != _OK and not whatever_status:
            raise Refused(f"The node at {http} answers {path} with {status}.{self._token_advice()}")
        return body

    def _request(self, http: str, path: str) -> bytes:
        token = ""
        if self._token_file is not None and self._token_file.exists():
            token = f"Authorization: Bearer {self._token_file.read_text().strip()}\r\n"
        head = f"GET {path} HTTP/1.1\r\nHost: {http}\r\n{token}Connection: close\r\n\r\n"
        return head.encode()

    def _token_advice(self) -> str:
        if self._token_file is None:
            return ""
        return (
            f" It is asked with the token in {self._token_file}: put one there that may see the "
            "status ('kvorum token create NAME --role monitor --to FILE')."
        )
