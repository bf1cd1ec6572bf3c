"""The listener: accepts connections from other nodes.

Its backlog is no longer than the number of connections that may be in their handshake
(`links/peers.py`), so that not many more are open at a time. Under TLS as many may be in their TLS
handshake; one more has the oldest of them given up.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from kvorum.links.link import Link
from kvorum.model.address import Address
from kvorum.model.errors import ConfigError
from kvorum.net.socket_link import SocketLink
from kvorum.tls.handshakes import Handshakes
from kvorum.tls.port import TlsEnd, TlsPort
from kvorum.tls.strangers import FailureLog
from kvorum.tls.transport import TlsTransport

_LOG: Final = logging.getLogger(__name__)

_ADVICE = {
    errno.EADDRINUSE: "the port is taken. Stop the process that holds it, or choose another.",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address. Correct it.",
    errno.EACCES: "this user may not listen there. Choose a port above 1023.",
}


class Listener:
    """Accepts connections; `accept` makes the link of each."""

    def __init__(
        self,
        accept: Callable[[], Link],
        backlog: int,
        handshake_s: float,
        tls: TlsEnd | None = None,
    ) -> None:
        """`handshake_s`: the time of a TLS handshake. `tls`: None where plain text is spoken."""
        self._accept = accept
        self._handshakes = Handshakes(handshake_s, self._make_room)
        self._port = (
            None
            if tls is None
            else TlsPort(tls, self._handshakes, FailureLog(_LOG, time.monotonic).note)
        )
        self._backlog = backlog
        self._server: asyncio.Server | None = None

    def _make_room(self) -> bool:
        return len(self._handshakes) < self._backlog or self._handshakes.give_up_oldest()

    def _linked(self) -> asyncio.Protocol:
        return SocketLink(self._accept())

    async def start(self, address: Address) -> None:
        """Listen at `address`. Raises ConfigError if that fails."""
        loop = asyncio.get_running_loop()
        make: Callable[[], asyncio.Protocol] = self._linked
        if self._port is not None:
            make = partial(TlsTransport, self._port, self._linked)
        try:
            self._server = await loop.create_server(make, *address, backlog=self._backlog)
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
        self._handshakes.abort()
