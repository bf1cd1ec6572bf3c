"""Asking every node of a cluster the same, from one command.

Any server names the nodes. All have to answer before anything is changed (`reachable`): a node
that is away would be left behind. What all of them have begun is carried out by each for itself
(`each`): there one may fail and the others not.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar

from kvorum.cli.progress import node_bars, node_share_bars
from kvorum.client import requests
from kvorum.client.asynchronous import AsyncClient, clients_of_nodes
from kvorum.client.each_node import Documents
from kvorum.client.requests import Request
from kvorum.client.url import Target
from kvorum.model.errors import KvorumError, RequestError, UnavailableError
from kvorum.runtime.loop import run as run_loop

_T = TypeVar("_T")
_POLL_S: Final = 0.2
_BAR_STEPS: Final = 10_000

Outcome = dict[str, Any] | KvorumError
"""What came of a node's work, or why it failed."""

ShowBytes = Callable[[int, int], None]
"""(bytes done, bytes in all)"""

Work = Callable[[AsyncClient, ShowBytes], Awaitable[dict[str, Any]]]


class EveryNode:
    """The nodes of a cluster, each with a client of its own."""

    def __init__(self, clients: dict[str, AsyncClient]) -> None:
        self._clients = clients

    @property
    def names(self) -> list[str]:
        return list(self._clients)

    async def reachable(self) -> None:
        """Raises UnavailableError, which names the nodes that do not answer."""
        await self.ask(requests.status())

    async def ask(self, request: Request) -> Documents:
        """Raises what all of them refuse it with, and UnavailableError if only some fail, or for
        several reasons.
        """
        answers, failed = await self.ask_those_up(request)
        if failed:
            _raise_joint(failed, len(self._clients), changes=not request.safe)
        return answers

    async def ask_those_up(self, request: Request) -> tuple[Documents, dict[str, KvorumError]]:
        """The answers, and why the other nodes give none. Raises as `ask` if there is no answer."""
        outcomes = await self._gather(self.names, lambda client, _: client.ask(request))
        failed = failures(outcomes)
        if len(failed) == len(outcomes):
            _raise_joint(failed, len(outcomes), changes=not request.safe)
        answers = {node: one for node, one in outcomes.items() if not isinstance(one, KvorumError)}
        return answers, failed

    async def ask_one(self, node: str, request: Request) -> dict[str, Any]:
        """Raises RequestError if there is no such node."""
        client = self._clients.get(node)
        if client is None:
            names = ", ".join(self._clients)
            raise RequestError(f"No such node: {node!r}. The cluster has {names}.")
        return await client.ask(request)

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
            return await self._gather(
                names, lambda client, node: work(client, functools.partial(show, node))
            )

    async def _gather(
        self, names: list[str], ask: Callable[[AsyncClient, str], Awaitable[dict[str, Any]]]
    ) -> dict[str, Outcome]:
        outcomes = await asyncio.gather(
            *(_outcome(ask(self._clients[node], node)) for node in names)
        )
        return dict(zip(names, outcomes, strict=True))


def failures(outcomes: dict[str, Outcome]) -> dict[str, KvorumError]:
    """Those of `outcomes` that failed, by node."""
    return {node: one for node, one in outcomes.items() if isinstance(one, KvorumError)}


def reasons(failed: dict[str, KvorumError]) -> str:
    """Why each of the nodes failed, in one line."""
    return "; ".join(f"{node}: {error.message.removesuffix('.')}" for node, error in failed.items())


def _raise_joint(failed: dict[str, KvorumError], asked: int, *, changes: bool) -> NoReturn:
    if len(failed) == asked and len({error.message for error in failed.values()}) == 1:
        raise next(iter(failed.values()))
    changed_nothing = len(failed) == asked and all(
        error.outcome == "none" for error in failed.values()
    )
    raise UnavailableError(
        f"{len(failed)} of {asked} nodes failed: {reasons(failed)}. "
        "Repeat it when 'kvorum status' shows them up.",
        outcome="unknown" if changes and not changed_nothing else "none",
    )


def on_every_node(target: Target, act: Callable[[EveryNode], Awaitable[_T]]) -> _T:
    """What `act` returns, given the nodes of the cluster that `target` is in."""

    async def run() -> _T:
        async with AsyncClient(target) as client:
            status = await client.status()
        async with clients_of_nodes(target, status) as clients:
            return await act(EveryNode(clients))

    return run_loop(run())


async def _outcome(answer: Awaitable[dict[str, Any]]) -> Outcome:
    try:
        return await answer
    except KvorumError as error:
        return error
