"""A dialer: makes connections to one node, whenever `links/reconnect.py` asks for one."""

from __future__ import annotations

import asyncio
from functools import partial

from kvorum.links.link import Link
from kvorum.model.address import Address
from kvorum.net.socket_link import SocketLink
from kvorum.tls.handshakes import Handshakes
from kvorum.tls.port import TlsEnd, TlsPort
from kvorum.tls.transport import TlsTransport


class Dialer:
    """Makes connections to one node. An attempt ends in `connected` or `lost` of its link."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: Address,
        connect_s: float,
        tls: TlsEnd | None = None,
    ) -> None:
        """`connect_s`: how many seconds to wait for a connection, and then for the TLS handshake if
        there is one. `tls`: None where plain text is spoken."""
        self.address = address
        self._loop = loop
        self._connect_s = connect_s
        self._tls = tls
        self._handshakes = Handshakes(connect_s, lambda: True)
        self._attempts: set[asyncio.Task[None]] = set()

    def dial(self, link: Link) -> None:
        """Begin to connect."""
        attempt = self._loop.create_task(self._connect(link))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)

    async def close(self) -> None:
        """Give up all attempts that are under way."""
        for attempt in self._attempts:
            attempt.cancel()
        if self._attempts:
            await asyncio.wait(self._attempts)
        self._handshakes.abort()

    def _protocol(self, link: Link) -> asyncio.Protocol:
        if self._tls is None:
            return SocketLink(link)
        port = TlsPort(self._tls, self._handshakes, lambda _transport, error: link.lost(error))
        return TlsTransport(port, partial(SocketLink, link))

    async def _connect(self, link: Link) -> None:
        try:
            async with asyncio.timeout(self._connect_s):
                await self._loop.create_connection(partial(self._protocol, link), *self.address)
        except TimeoutError:
            link.lost(TimeoutError(f"no connection within {self._connect_s:g} s"))
        except OSError as error:
            link.lost(error)
        except asyncio.CancelledError:
            link.lost(None)
            raise
