"""Asking every node of a cluster the same, from one command.

Any server names the nodes. All have to answer before anything is changed (`reachable`): a node
that is away would be left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kvorum.cli.node_bars import node_bars
from kvorum.client import requests
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.url import parse_servers
from kvorum.model.errors import KvorumError, ProtocolError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kvorum.client.requests import Request
    from kvorum.client.url import Target

_T = TypeVar("_T")
_POLL_S: Final = 0.2
_BAR_STEPS: Final = 10_000

Documents = dict[str, dict[str, Any]]
"""By node."""


class EveryNode:
    def __init__(self, clients: dict[str, AsyncClient]) -> None:
        self._clients = clients

    async def reachable(self) -> None:
        """Raises UnavailableError, which names the nodes that do not answer."""
        await self.ask(requests.status())

    async def ask(self, request: Request) -> Documents:
        """Raises UnavailableError unless all of them answer as they should."""
        answers = await asyncio.gather(*(_asked(node, request) for node in self._clients.values()))
        documents: Documents = {}
        failures = []
        for node, answer in zip(self._clients, answers, strict=True):
            if isinstance(answer, KvorumError):
                failures.append(f"{node}: {answer.message}")
            else:
                documents[node] = answer
        if failures:
            raise UnavailableError(
                f"wanted all {len(self._clients)} nodes to do it, got failures of {len(failures)} "
                f"({'; '.join(failures)}); repeat it when 'kvorum status' shows them up",
                outcome="none" if request.safe else "unknown",
            )
        return documents

    async def watch(
        self, what: str, request: Request, fraction: Callable[[dict[str, Any]], float]
    ) -> Documents:
        """Ask again and again, until `fraction` of every answer is 1; shows how far they are."""
        with node_bars(what, list(self._clients)) as show:
            while True:
                documents = await self.ask(request)
                done = {node: fraction(document) for node, document in documents.items()}
                for node, part in done.items():
                    show(node, int(part * _BAR_STEPS), _BAR_STEPS)
                if all(part >= 1 for part in done.values()):
                    return documents
                await asyncio.sleep(_POLL_S)


def on_every_node(target: Target, act: Callable[[EveryNode], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        async with _nodes(target) as nodes:
            return await act(nodes)

    return asyncio.run(run())


@asynccontextmanager
async def _nodes(target: Target) -> AsyncIterator[EveryNode]:
    async with AsyncClient(target) as client:
        status = await client.status()
    try:
        servers = {node["name"]: parse_servers(node["http"]) for node in status["nodes"]}
    except (KeyError, TypeError) as error:
        raise ProtocolError(f"wanted the nodes in a status, got none: {error}") from error
    clients = {name: AsyncClient(replace(target, servers=at)) for name, at in servers.items()}
    try:
        yield EveryNode(clients)
    finally:
        for client in clients.values():
            await client.close()


async def _asked(client: AsyncClient, request: Request) -> dict[str, Any] | KvorumError:
    try:
        return await client.ask(request)
    except KvorumError as error:
        return error
