"""The listener: takes in links from other nodes, and bounds those that have not said who they are.

Anyone can connect to a port. Until its handshake is complete a connection costs this node
one socket and at most one short frame, for `LinkLimits.handshake_s`; there are at most
`greeting_max` of them, and one more is closed at once. No more than that wait to be accepted, so
that not many more are open at a time.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from kvorum.model.address import Address
from kvorum.model.errors import ConfigError
from kvorum.net.link import Link

_ADVICE = {
    errno.EADDRINUSE: "the port is taken; stop the process that holds it or choose another",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address; correct it",
    errno.EACCES: "this user may not listen there; choose a port above 1023",
}


class Listener:
    __slots__ = ("_greeting", "_greeting_max", "_make_link", "_server")

    def __init__(self, make_link: Callable[[], Link], greeting_max: int) -> None:
        self._make_link = make_link
        self._greeting_max = greeting_max
        self._greeting: set[Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self, address: Address) -> None:
        """Raises ConfigError if nobody can listen there."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._make_link, *address, backlog=self._greeting_max
            )
        except OSError as error:
            advice = _ADVICE.get(error.errno or 0, str(error))
            raise ConfigError(
                f"wanted to listen for peers on {address.host} port {address.port}: {advice}",
                address=f"{address.host}:{address.port}",
            ) from error

    def admit(self, link: Link) -> bool:
        """True if there is room for one more link that has yet to complete its handshake."""
        if len(self._greeting) >= self._greeting_max:
            return False
        self._greeting.add(link)
        return True

    def settled(self, link: Link) -> None:
        """`link` has opened, or is gone."""
        self._greeting.discard(link)

    def stop(self) -> None:
        """Take in no more links. The ones there are stay."""
        if self._server is not None:
            self._server.close()
