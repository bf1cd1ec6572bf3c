"""Which server to ask: each call starts at the next one in turn, and turns to others on failure.

A server that could not be reached, or that did not answer in time, is suspected: for a while
calls ask it last. Within one call a server that said when to come back (Retry-After) is left
alone until then, and of those that are ready the one asked least comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvorum.client.pool import Pool
from kvorum.client.url import host_port
from kvorum.model.address import Address

SUSPECT_S: Final = 5.0


class Server:
    __slots__ = ("name", "pool", "suspect_until")

    def __init__(self, address: Address) -> None:
        self.name = host_port(address)
        self.pool = Pool(address)
        self.suspect_until = 0.0

    def suspect(self, now: float) -> None:
        self.suspect_until = now + SUSPECT_S

    def trust(self) -> None:
        self.suspect_until = 0.0


class Servers:
    def __init__(self, addresses: Sequence[Address]) -> None:
        self._servers = [Server(address) for address in addresses]
        self._turn = 0

    def route(self, now: float) -> Route:
        """The order in which one call asks."""
        turn = self._turn
        self._turn = (turn + 1) % len(self._servers)
        order = self._servers[turn:] + self._servers[:turn]
        order.sort(key=lambda server: server.suspect_until > now)
        return Route(order)

    async def close(self) -> None:
        for server in self._servers:
            await server.pool.close()


class Route:
    """The course of one call over the servers."""

    __slots__ = ("_asked", "_order", "_ready_at")

    def __init__(self, order: Sequence[Server]) -> None:
        self._order = order
        self._asked = dict.fromkeys(order, 0)
        self._ready_at = dict.fromkeys(order, 0.0)

    @property
    def has_untried(self) -> bool:
        return 0 in self._asked.values()

    def next(self, not_before: float) -> tuple[Server, float]:
        """(the server to ask, the time to ask it), no earlier than `not_before`."""
        server = min(
            self._order, key=lambda s: (max(self._ready_at[s], not_before), self._asked[s])
        )
        self._asked[server] += 1
        return server, max(self._ready_at[server], not_before)

    def leave_alone(self, server: Server, until: float) -> None:
        self._ready_at[server] = until
