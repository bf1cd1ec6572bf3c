"""A dialer: makes TCP connections to one node, whenever `links/reconnect.py` asks for one."""

from __future__ import annotations

import asyncio

from kvorum.links.link import Link
from kvorum.model.address import Address
from kvorum.net.socket_link import SocketLink


class Dialer:
    """Makes connections to one node. An attempt ends in `connected` or `lost` of its link."""

    def __init__(self, loop: asyncio.AbstractEventLoop, address: Address, connect_s: float) -> None:
        """`connect_s`: how many seconds to wait for a connection."""
        self.address = address
        self._loop = loop
        self._connect_s = connect_s
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

    async def _connect(self, link: Link) -> None:
        try:
            async with asyncio.timeout(self._connect_s):
                await self._loop.create_connection(lambda: SocketLink(link), *self.address)
        except TimeoutError:
            link.lost(TimeoutError(f"no connection within {self._connect_s:g} s"))
        except OSError as error:
            link.lost(error)
        except asyncio.CancelledError:
            link.lost(None)
            raise
