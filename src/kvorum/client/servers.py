"""Which servers one call asks, and in which order.

    a blind write                        the key's owners in preference order, then the others
    a read, a write with a version       the key's owners in turn, then the others
    all else, or no owner is known       all in turn

Any server carries out any request. But a blind write that reaches another than the first
owner is forwarded to that one, and so is one with a version that reaches no owner; a read
that reaches no owner needs one answer more from others. So who is asked first saves a hop,
never decides what is right. Suspected servers come last in any case.

Within one call a server that said when to come back (Retry-After) is left alone until then,
and of those that are ready the one asked least comes first.
"""

from __future__ import annotations

from collections.abc import Sequence

from kvorum.client.requests import Subject
from kvorum.client.server import Server
from kvorum.client.survey import Survey
from kvorum.model.address import Address


class Servers:
    def __init__(self, addresses: Sequence[Address]) -> None:
        self._servers = [Server(address) for address in addresses]
        self._survey = Survey(self._servers)
        self._turn = 0

    def route(self, now: float, about: Subject | None = None) -> Route:
        """The order in which one call asks."""
        order = self._in_turn(self._servers) if about is None else self._order(about)
        order.sort(key=lambda server: server.suspect_until > now)
        return Route(order)

    def heard(self, server: Server, now: float) -> None:
        """`server` has answered."""
        if not server.trusted:
            server.trust()
            self._survey.hasten()
        self._survey.keep_up(now)

    async def close(self) -> None:
        await self._survey.close()
        for server in self._servers:
            await server.pool.close()

    def _order(self, about: Subject) -> list[Server]:
        owners = self._survey.owners(about)
        if not owners:
            return self._in_turn(self._servers)
        others = [server for server in self._servers if server not in owners]
        return (owners if about.blind else self._in_turn(owners)) + others

    def _in_turn(self, servers: list[Server]) -> list[Server]:
        # The turn moves on only where it decides, or a program that reads and writes by turns
        # would have all its reads begin at the same one of two owners.
        first = self._turn % len(servers)
        self._turn += 1
        return servers[first:] + servers[:first]


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
