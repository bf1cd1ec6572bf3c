"""Which servers one call asks, and in which order.

    a blind write                        the key's owners in preference order, then the others
    a read, a write with a version       the key's owners in turn, then the others
    all else, or no owner is known       all in turn

Any server carries out any request. But a blind write that reaches another than the first
owner is forwarded to that one, and so is one with a version that reaches no owner; a read
that reaches no owner needs one answer more from others. So who is asked first saves a hop,
never decides what is right. Suspected servers come last in any case.

Within one call a server that said when to come back (Retry-After) is left alone until then,
and of those that are ready the one asked least comes first. Once one has answered, if only
that it cannot serve now, suspected ones are asked no more: one that is there is worth waiting
for, one that may be gone is not. One that ends the connection with its answer is about to stop:
it is asked last for a moment, and its refusal is no reason to wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from kvorum.client.access import PLAIN, Access
from kvorum.client.options import DEFAULTS
from kvorum.client.requests import Subject
from kvorum.client.server import Server
from kvorum.client.survey import Survey
from kvorum.model.address import Address

_SUSPECTED_LAST: Final = attrgetter("suspected")


class Servers:
    """All servers of the URL."""

    def __init__(
        self,
        addresses: Sequence[Address],
        connections: int = DEFAULTS.connections,
        access: Access = PLAIN,
    ) -> None:
        self._servers = [Server(address, connections, access) for address in addresses]
        self._survey = Survey(self._servers)
        self._turn = 0

    def route(self, about: Subject | None = None) -> Route:
        """The order in which one call asks."""
        order = self._in_turn(self._servers) if about is None else self._order(about)
        order.sort(key=_SUSPECTED_LAST)
        return Route(order)

    def heard(self, server: Server, now: float, *, closes: bool = False) -> None:
        """`server` has answered; `closes`: on a connection that it ends with that."""
        if closes:
            server.leave(now)
        elif server.suspected or not server.trusted:
            if server.suspected:
                self._survey.hasten()
            server.trust()
        self._survey.keep_up(now)

    async def close(self) -> None:
        """Close the connections to all of them."""
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

    __slots__ = ("_answered", "_asked", "_order", "_ready_at")

    def __init__(self, order: Sequence[Server]) -> None:
        self._order = order
        self._asked = dict.fromkeys(order, 0)
        self._ready_at = dict.fromkeys(order, 0.0)
        self._answered: set[Server] = set()

    def has_other(self, server: Server) -> bool:
        """Another than `server` may answer yet: it is untried, or has answered before."""
        return any(other is not server and self._is_open(other) for other in self._candidates())

    def has_better(self, server: Server) -> bool:
        """Another may answer yet that is no more suspected than `server`."""
        return any(
            other is not server and self._is_open(other) and other.suspected <= server.suspected
            for other in self._candidates()
        )

    def next(self, not_before: float) -> tuple[Server, float]:
        """(the server to ask, the time to ask it), no earlier than `not_before`."""
        server = min(
            self._candidates(), key=lambda s: (max(self._ready_at[s], not_before), self._asked[s])
        )
        self._asked[server] += 1
        return server, max(self._ready_at[server], not_before)

    def answered(self, server: Server) -> None:
        """`server` has answered, though not with what the call wants."""
        self._answered.add(server)

    def moves_on_from(self, server: Server) -> bool:
        """`server` has given no answer, and another has not been asked yet."""
        if server in self._answered:
            return False
        return any(self._asked[other] == 0 for other in self._candidates())

    def leave_alone(self, server: Server, until: float) -> None:
        """`server` has said that it is not to be asked before `until`."""
        self._ready_at[server] = until

    def _candidates(self) -> Sequence[Server]:
        if not self._answered:
            return self._order
        return [s for s in self._order if s in self._answered or not s.suspected]

    def _is_open(self, server: Server) -> bool:
        return self._asked[server] == 0 or server in self._answered
