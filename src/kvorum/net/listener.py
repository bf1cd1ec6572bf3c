"""The listener: accepts connections from other nodes.

Its backlog is no longer than the number of connections that may be in their handshake
(`links/peers.py`), so that not many more are open at a time.
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
    """Accepts connections; `accept` makes the link of each."""

    def __init__(self, accept: Callable[[], Link], backlog: int) -> None:
        self._accept = accept
        self._backlog = backlog
        self._server: asyncio.Server | None = None

    async def start(self, address: Address) -> None:
        """Listen at `address`. Raises ConfigError if that fails."""
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
        """Accept no more connections. Those that are open stay."""
        if self._server is not None:
            self._server.close()
