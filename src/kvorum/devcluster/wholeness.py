"""Whether a cluster is whole: every node is ready, sees all others, and owes none a write.

Only then may the next node be stopped: each quorum is met by the others, and what the last one
missed has come back to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from kvorum.devcluster.access import NodeAccess
from kvorum.documents.health import Readiness
from kvorum.documents.status import Status
from kvorum.model.topology import NodeSpec

_EVERY_S: Final = 0.1
_TOLD_LOOKS: Final = 10

_readiness: Final = msgspec.json.Decoder(Readiness)
_status: Final = msgspec.json.Decoder(Status)


async def wait_until_whole(
    nodes: Iterable[NodeSpec], access: NodeAccess, within_s: float, tell: Callable[[str], object]
) -> None:
    """Returns when the cluster is whole; `tell` hears what it lacks, at most once a second.

    Raises TimeoutError if it is not whole after `within_s`, and Refused as soon as a node does not
    say how it fares.
    """
    looks = 0
    async with asyncio.timeout(within_s):
        while (lack := await lacking(nodes, access)) is not None:
            looks += 1
            if looks % _TOLD_LOOKS == 0:
                tell(lack)
            await asyncio.sleep(_EVERY_S)


async def lacking(nodes: Iterable[NodeSpec], access: NodeAccess) -> str | None:
    """What a cluster lacks to be whole, as a sentence; None if it is. Raises Refused."""
    for found in await asyncio.gather(*(_lacking(node, access) for node in nodes)):
        if found is not None:
            return found
    return None


async def unanswering(nodes: Iterable[NodeSpec], access: NodeAccess) -> list[str]:
    """The names of the nodes that do not answer."""
    nodes = list(nodes)
    answers = await asyncio.gather(
        *(access.probe(node.http, "/health") for node in nodes),
        return_exceptions=True,
    )
    return [
        node.name
        for node, answer in zip(nodes, answers, strict=True)
        if not isinstance(answer, bytes)
    ]


async def _lacking(node: NodeSpec, access: NodeAccess) -> str | None:
    """What one node lacks, or says that the cluster lacks."""
    try:
        readiness = _readiness.decode(await access.probe(node.http, "/ready"))
        status = _status.decode(await access.answer(node.http, "/status"))
    except (OSError, EOFError, TimeoutError, ValueError, msgspec.MsgspecError):
        return f"{node.name} does not answer at {node.http}."
    if not readiness.ready:
        return f"{node.name}: {' '.join(readiness.reasons)}"
    for other in status.nodes:
        if not other.up:
            return f"{node.name} does not reach {other.name}."
        if other.hints_owed:
            return f"{node.name} has {other.hints_owed} writes to deliver to {other.name}."
    return None
