"""Snapshot jobs on all nodes of a cluster at once, begun and watched from one command.

Any server names the nodes. All are asked which snapshots they have before anything begins, so
that a node that is away, or a name that is taken, is found while nothing has been changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kvorum.backup.layout import check_name
from kvorum.cli.node_bars import Show, node_bars
from kvorum.client import snapshot_requests as requests
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.requests import Request
from kvorum.client.url import parse_servers
from kvorum.model.errors import (
    KvorumError,
    NotFound,
    PreconditionFailed,
    ProtocolError,
    UnavailableError,
)

if TYPE_CHECKING:
    from kvorum.client.url import Target

_POLL_S: Final = 0.1

Outcome = dict[str, Any] | KvorumError
"""What came of a node's job: what it says of the snapshot, or why it failed."""


class Nodes:
    """The nodes of a cluster, each with a client of its own."""

    def __init__(self, clients: dict[str, AsyncClient]) -> None:
        self._clients = clients

    @classmethod
    async def of(cls, target: Target) -> Nodes:
        async with AsyncClient(target) as client:
            status = await client.status()
        try:
            servers = {node["name"]: parse_servers(node["http"]) for node in status["nodes"]}
        except (KeyError, TypeError) as error:
            raise ProtocolError(f"wanted the nodes in a status, got none: {error}") from error
        return cls({name: AsyncClient(replace(target, servers=at)) for name, at in servers.items()})

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def snapshots(self) -> dict[str, list[dict[str, Any]]]:
        """By node. Raises UnavailableError, which names the nodes, unless all of them answer."""
        answers = await asyncio.gather(*map(_snapshots, self._clients.values()))
        by_node = dict(zip(self._clients, answers, strict=True))
        failed = {node: error for node, error in by_node.items() if isinstance(error, KvorumError)}
        if failed:
            reasons = "; ".join(f"{node}: {error.message}" for node, error in failed.items())
            raise UnavailableError(
                f"wanted every node to say which snapshots it has, {len(failed)} failed "
                f"({reasons}); see 'kvorum status'"
            )
        return {node: found for node, found in by_node.items() if isinstance(found, list)}

    async def create(self, name: str) -> dict[str, Outcome]:
        """Raises PreconditionFailed if a node has a snapshot of that name."""
        taken = _holders(name, await self.snapshots())
        if taken:
            raise PreconditionFailed(
                f"wanted the name of no snapshot, got {name!r}, which is on {', '.join(taken)}; "
                "choose another name, or delete that one first"
            )
        return await self._run("create", name, list(self._clients), requests.create)

    async def verify(self, name: str) -> dict[str, Outcome]:
        """Raises NotFound if a node has no snapshot of that name."""
        holders = _holders(name, await self.snapshots())
        missing = [node for node in self._clients if node not in holders]
        if missing:
            raise NotFound(
                f"wanted snapshot {name!r} on all nodes, got none on {', '.join(missing)}; "
                "see 'kvorum snapshot list'"
            )
        return await self._run("verify", name, holders, requests.verify)

    async def delete(self, name: str) -> dict[str, Outcome]:
        """Wherever it is. Raises NotFound if it is nowhere."""
        holders = _holders(name, await self.snapshots())
        if not holders:
            raise NotFound(
                f"wanted a snapshot of some node, got {name!r}, which none has; "
                "see 'kvorum snapshot list'"
            )
        return await self._run("delete", name, holders, requests.delete)

    async def _run(
        self, what: str, name: str, nodes: list[str], request: Callable[[str], Request]
    ) -> dict[str, Outcome]:
        with node_bars(what, nodes) as show:
            outcomes = await asyncio.gather(
                *(self._carry_out(node, request(name), name, show) for node in nodes)
            )
        return dict(zip(nodes, outcomes, strict=True))

    async def _carry_out(self, node: str, request: Request, name: str, show: Show) -> Outcome:
        client = self._clients[node]
        try:
            job = requests.job(await client.ask(request))
            while not job.ended:
                show(node, job.bytes_done, job.bytes_total)
                await asyncio.sleep(_POLL_S)
                job = requests.job(await client.ask(requests.progress(name)))
        except KvorumError as error:
            return error
        return job.failure or job.snapshot or {"name": name}


async def _snapshots(client: AsyncClient) -> list[dict[str, Any]] | KvorumError:
    try:
        return requests.listed(await client.ask(requests.listing()))
    except KvorumError as error:
        return error


def _holders(name: str, snapshots: dict[str, list[dict[str, Any]]]) -> list[str]:
    check_name(name)
    return [node for node, found in snapshots.items() if any(s["name"] == name for s in found)]
