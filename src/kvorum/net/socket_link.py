"""The socket under a link, as an asyncio protocol. asyncio's transport is the link's wire."""

from __future__ import annotations

import asyncio
from typing import cast

from kvorum.links.link import Link


class SocketLink(asyncio.Protocol):
    """Tells `link` what happens to its connection."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        remote = str(peer[0]) if peer else "an unknown host"
        self._link.connected(cast(asyncio.Transport, transport), remote)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._link.received(data)

    def pause_writing(self) -> None:
        self._link.paused()

    def resume_writing(self) -> None:
        self._link.resumed()

    def eof_received(self) -> None:
        self._link.ended()

    def connection_lost(self, error: Exception | None) -> None:
        self._link.lost(error)
