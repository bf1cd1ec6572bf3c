"""Finding out, beside the calls, which nodes the servers are and who owns what.

A survey asks each server for its ring. It begins with an answer to some call, so a client
that does nothing asks nothing: the first time, when a server is back that was suspected, and
when the last one is PERIOD_S old. In between, suspected servers are asked when it is time to
see whether they are back: any answer shows it. Calls do not wait for it, and nothing it meets
is their business: a server that does not answer, or makes no sense, is what it was known to be
before.

A server is the node that it says it is: an address may be translated, or a name for several.
Of differing rings the one of the latest epoch counts; a server of another cluster is none of
its nodes. Only the servers of the URL are ever asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from kvorum.client import requests
from kvorum.client.answers import Answer
from kvorum.client.requests import Subject
from kvorum.client.ring import Ring, Told, read
from kvorum.client.server import Server
from kvorum.model.errors import KvorumError
from kvorum.runtime.together import together

PERIOD_S: Final = 60.0
ANSWER_S: Final = 2.0


class Survey:
    """Who the servers are and who owns what, as far as they have told."""

    __slots__ = ("_closed", "_ring", "_round_at", "_servers", "_servers_of", "_task", "_told")

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._told: dict[Server, Told] = {}
        self._ring: Ring | None = None
        self._servers_of: dict[str, list[Server]] = {}
        self._task: asyncio.Task[None] | None = None
        self._round_at = 0.0
        self._closed = False

    def owners(self, about: Subject) -> list[Server]:
        """The servers that own the entry, in preference order, as far as they are known."""
        if self._ring is None:
            return []
        return [
            server for node in self._ring.owners(about) for server in self._servers_of.get(node, ())
        ]

    def hasten(self) -> None:
        """The next survey of all servers is due now."""
        self._round_at = 0.0

    def keep_up(self, now: float) -> None:
        """Begin a survey of those servers for which one is due."""
        if self._closed or len(self._servers) == 1:
            return
        if self._task is not None and not self._task.done():
            return
        if due := self._due(now):
            self._task = asyncio.get_running_loop().create_task(self._run(due))

    async def close(self) -> None:
        """End a survey that is under way."""
        self._closed = True
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task])

    def _due(self, now: float) -> Sequence[Server]:
        if now < self._round_at:
            return [server for server in self._servers if server.probe_at <= now]
        self._round_at = now + PERIOD_S
        return self._servers

    async def _run(self, servers: Sequence[Server]) -> None:
        await together(self._hear(server) for server in servers)
        await self._draw()

    async def _hear(self, server: Server) -> None:
        now = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await _ask(server, now() + ANSWER_S)
        except (KvorumError, TimeoutError):
            if server.suspected:
                server.suspect(now())
            return
        if answer.leaves:
            server.leave(now())
        else:
            server.readmit()
        try:
            # In a thread, for a topology of a thousand nodes takes its time.
            self._told[server] = await asyncio.to_thread(read, answer)
        except KvorumError:
            return  # What it told before still counts.

    async def _draw(self) -> None:
        if not self._told:
            return
        topology = max((told.topology for told in self._told.values()), key=lambda it: it.epoch)
        if self._ring is None or self._ring.topology != topology:
            self._ring = await asyncio.to_thread(Ring, topology)
        self._servers_of = {}
        for server, told in self._told.items():
            if told.topology.cluster == topology.cluster:
                self._servers_of.setdefault(told.node, []).append(server)


async def _ask(server: Server, until: float) -> Answer:
    connection = await server.pool.acquire(until)
    try:
        return await connection.exchange(server.to_bytes(requests.ring(), 0), "none")
    finally:
        server.pool.release(connection)
