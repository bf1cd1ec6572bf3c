"""Snapshot jobs on all nodes of a cluster at once, begun and watched from one command.

All nodes are asked which snapshots they have before anything begins, so that a node that is
away, or a name that is taken, is found while nothing has been changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from kvorum.backup.layout import check_name
from kvorum.cli.every_node import EveryNode, ShowBytes
from kvorum.client import node_requests
from kvorum.client.asynchronous import AsyncClient
from kvorum.client.each_node import Outcome
from kvorum.client.requests import Request
from kvorum.documents.reading import read
from kvorum.documents.snapshot import SnapshotJob, SnapshotList
from kvorum.model.errors import NotFound, PreconditionFailed

_POLL_S: Final = 0.1

Snapshots = dict[str, list[dict[str, Any]]]
"""By node."""


async def snapshots(nodes: EveryNode) -> Snapshots:
    """The snapshots of each node. Raises UnavailableError if one does not answer."""
    documents = await nodes.ask(node_requests.snapshots())
    for document in documents.values():
        read(document, SnapshotList)
    return {node: document["snapshots"] for node, document in documents.items()}


async def create(nodes: EveryNode, name: str) -> dict[str, Outcome]:
    """What came of making it, on each node. Raises PreconditionFailed if the name is taken."""
    taken = await _holders(nodes, name)
    if taken:
        raise PreconditionFailed(
            f"A snapshot named {name!r} already exists on {', '.join(taken)}. Choose another name, "
            "or delete that one first."
        )
    return await _run(nodes, "create", name, nodes.names, node_requests.create_snapshot)


async def verify(nodes: EveryNode, name: str) -> dict[str, Outcome]:
    """What came of reading it, on each node. Raises NotFound if a node lacks it."""
    holders = await _holders(nodes, name)
    missing = [node for node in nodes.names if node not in holders]
    if missing:
        raise NotFound(
            f"No such snapshot on {', '.join(missing)}: {name!r}. 'kvorum snapshot list' shows "
            "which there are."
        )
    return await _run(nodes, "verify", name, holders, node_requests.verify_snapshot)


async def delete(nodes: EveryNode, name: str) -> dict[str, Outcome]:
    """Delete it wherever it is; returns what came of it there. Raises NotFound if it is nowhere."""
    holders = await _holders(nodes, name)
    if not holders:
        raise NotFound(
            f"No such snapshot on any node: {name!r}. 'kvorum snapshot list' shows which there are."
        )
    return await _run(nodes, "delete", name, holders, node_requests.delete_snapshot)


async def _run(
    nodes: EveryNode, what: str, name: str, names: list[str], request: Callable[[str], Request]
) -> dict[str, Outcome]:
    async def carry_out(client: AsyncClient, show: ShowBytes) -> dict[str, Any]:
        document = await client.ask(request(name))
        job = read(document, SnapshotJob)
        while not job.ended:
            show(job.bytes_done, job.bytes_total)
            await asyncio.sleep(_POLL_S)
            document = await client.ask(node_requests.snapshot_progress(name))
            job = read(document, SnapshotJob)
        if job.failure is not None:
            raise job.failure
        return document["snapshot"] if job.snapshot else {"name": name}

    return await nodes.each(what, names, carry_out)


async def _holders(nodes: EveryNode, name: str) -> list[str]:
    check_name(name)
    by_node = await snapshots(nodes)
    return [node for node, found in by_node.items() if any(one["name"] == name for one in found)]
