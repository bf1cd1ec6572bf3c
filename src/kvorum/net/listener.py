"""The listener: takes in connections from other nodes. No more wait to be accepted than may be in
their handshake (`links/peers.py`), so that not many more are open at a time.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from kvorum.links.link import Link
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError
from kvorum.net.socket_link import SocketLink

_ADVICE = {
    errno.EADDRINUSE: "the port is taken. Stop the process that holds it, or choose another.",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address. Correct it.",
    errno.EACCES: "this user may not listen there. Choose a port above 1023.",
}


class Listener:
    """`accept` makes the link of each connection that comes in."""

    __slots__ = ("_accept", "_backlog", "_server")

    def __init__(self, accept: Callable[[], Link], backlog: int) -> None:
        self._accept = accept
        self._backlog = backlog
        self._server: asyncio.Server | None = None

    async def start(self, address: Address) -> None:
        """Raises ConfigError if nobody can listen there."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: SocketLink(self._accept()), *address, backlog=self._backlog
            )
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, str(error))
            raise ConfigError(
                f"This node cannot listen for other nodes on {address.host} port {address.port}: "
                f"{advice}",
                address=f"{address.host}:{address.port}",
            ) from error

    def stop(self) -> None:
        """Take in no more connections. The ones there are stay."""
        if self._server is not None:
            self._server.close()
