"""Asking every node of a cluster the same, from one command.

Any server names the nodes. All have to answer before anything is changed (`reachable`): a node
that is away would be left behind. What all of them have begun is carried out by each for itself
(`each`): there one may fail and the others not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from kvorum.cli.progress import node_bars, node_share_bars
from kvorum.client import requests
from kvorum.client.asynchronous import AsyncClient, clients_of_nodes
from kvorum.client.each_node import Documents, EachNode, Outcome, outcomes_of
from kvorum.client.requests import Request
from kvorum.client.url import Target
from kvorum.runtime.loop import run as run_loop

_T = TypeVar("_T")
_POLL_S: Final = 0.2
_BAR_STEPS: Final = 10_000

ShowBytes = Callable[[int, int], None]
"""(bytes done, bytes in all)"""

Work = Callable[[AsyncClient, ShowBytes], Awaitable[dict[str, Any]]]


class EveryNode(EachNode):
    """The nodes of a cluster, whose work is shown while it goes on."""

    def __init__(self, clients: dict[str, AsyncClient]) -> None:
        super().__init__({name: client.ask for name, client in clients.items()})
        self._clients = clients

    async def reachable(self) -> None:
        """Raises UnavailableError, which names the nodes that do not answer."""
        await self.ask(requests.status())

    async def watch(
        self, what: str, request: Request, fraction: Callable[[dict[str, Any]], float]
    ) -> Documents:
        """Ask again and again, until `fraction` of every answer is 1; shows how far they are."""
        with node_share_bars(what, self.names) as show:
            while True:
                documents = await self.ask(request)
                done = {node: fraction(document) for node, document in documents.items()}
                for node, part in done.items():
                    show(node, int(part * _BAR_STEPS), _BAR_STEPS)
                if all(part >= 1 for part in done.values()):
                    return documents
                await asyncio.sleep(_POLL_S)

    async def each(self, what: str, names: list[str], work: Work) -> dict[str, Outcome]:
        """`work` at each of the nodes `names`, which shows how far it is."""
        with node_bars(what, names) as show:
            return await outcomes_of(
                names, lambda node: work(self._clients[node], partial(show, node))
            )


def on_every_node(target: Target, act: Callable[[EveryNode], Awaitable[_T]]) -> _T:
    """What `act` returns, given the nodes of the cluster that `target` is in."""

    async def run() -> _T:
        async with AsyncClient(target) as client:
            status = await client.status()
        async with clients_of_nodes(target, status) as clients:
            return await act(EveryNode(clients))

    return run_loop(run())
