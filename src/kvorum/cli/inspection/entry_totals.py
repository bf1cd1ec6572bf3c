"""The entries and bytes of each namespace in the whole cluster.

Each node tells the counts of its share (`documents/status.py`), and the shares add up. The nodes
are asked that the first one sees up; another one's share is told by those that are.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from kvorum.client import requests
from kvorum.client.asynchronous import AsyncClient, clients_of_nodes
from kvorum.client.each_node import outcomes_of
from kvorum.client.url import Target
from kvorum.documents.reading import read
from kvorum.documents.status import Status
from kvorum.model.errors import KvorumError
from kvorum.runtime.loop import run as run_loop


class EntryTotals(msgspec.Struct, frozen=True):
    """Entries and bytes by namespace. `missing`: nodes whose share is not in them, as they did not
    answer. `counting`: nodes that are still counting.
    """

    keys: dict[str, int]
    bytes: dict[str, int]
    missing: list[str]
    counting: list[str]

    @property
    def reservation(self) -> str:
        """What the totals are short of, in words; empty if they are complete."""
        said = []
        if self.missing:
            said.append(f"not counted: those of {', '.join(self.missing)}, without an answer")
        if self.counting:
            said.append(f"still being counted on {', '.join(self.counting)}")
        return "; ".join(said)


def status_and_totals(target: Target) -> tuple[dict[str, Any], EntryTotals]:
    """The status that the cluster's first server tells, and the totals over its nodes."""
    return run_loop(_status_and_totals(target))


async def _status_and_totals(target: Target) -> tuple[dict[str, Any], EntryTotals]:
    async with AsyncClient(target) as client:
        document = await client.status()
    own = read(document, Status)
    others = [node.name for node in own.nodes if node.up and not node.is_self]
    async with clients_of_nodes(target, document) as clients:
        outcomes = await outcomes_of(others, lambda node: clients[node].ask(requests.status()))
    told = {own.node: own}
    told |= {
        node: read(outcome, Status)
        for node, outcome in outcomes.items()
        if not isinstance(outcome, KvorumError)
    }
    return document, total(told, [node for node in others if node not in told])


def total(told: dict[str, Status], missing: list[str]) -> EntryTotals:
    """The totals of what the nodes have `told`."""
    keys, size = Counter[str](), Counter[str]()
    for status in told.values():
        for name, counts in status.counts.items():
            keys[name] += counts.keys
            size[name] += counts.bytes
    counting = [node for node, status in told.items() if status.counting]
    return EntryTotals(dict(keys), dict(size), missing, counting)
