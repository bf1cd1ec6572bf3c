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
_REFUSED: Final = (401, 403)
_STATUS: Final = slice(len("HTTP/1.1 "), len("HTTP/1.1 200"))


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

    async def probe(self, http: str, path: str) -> bytes:
        """The body of the answer of the node at `http` to a question that is open to everybody,
        whatever its status. No token goes with it: one that is no good would be refused.

        Raises OSError, EOFError or TimeoutError if there is none.
        """
        return (await self._ask(http, path, ""))[1]

    async def answer(self, http: str, path: str) -> bytes:
        """The body of the answer of the node at `http`.

        Raises OSError, EOFError or TimeoutError if there is none, Refused if the node answers this
        only to others, and ValueError for any other status than 200.
        """
        status, body = await self._ask(http, path, self._authorization())
        if status in _REFUSED:
            raise Refused(f"The node at {http} answers {path} with {status}.{self._token_advice()}")
        if status != _OK:
            raise ValueError(f"The node at {http} answers {path} with {status}.")
        return body

    async def _ask(self, http: str, path: str, authorization: str) -> tuple[int, bytes]:
        """Status and body."""
        address = parse_address(http)
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection(
                address.host,
                address.port,
                ssl=self._tls,
                server_hostname=None if self._tls is None else address.host,
            )
            try:
                line = f"GET {path} HTTP/1.1\r\nHost: {http}\r\n"
                writer.write(f"{line}{authorization}Connection: close\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
        if not head:
            raise EOFError
        return int(head[_STATUS]), body

    def _authorization(self) -> str:
        if self._token_file is None or not self._token_file.exists():
            return ""
        return f"Authorization: Bearer {self._token_file.read_text().strip()}\r\n"

    def _token_advice(self) -> str:
        if self._token_file is None:
            return ""
        return (
            f" It is asked with the token in {self._token_file}: put one there that may see the "
            "status ('kvorum token create NAME --role monitor --to FILE')."
        )
