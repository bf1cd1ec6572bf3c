"""`kvorum scrub`: look through all that is stored, now and on every node."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import click

from kvorum.cli.connection import asks_cluster
from kvorum.cli.errors import Incomplete
from kvorum.cli.every_node import EveryNode, on_every_node
from kvorum.cli.output import output_option, print_result
from kvorum.client import node_requests
from kvorum.client.each_node import Documents
from kvorum.client.url import Target
from kvorum.documents.reading import read
from kvorum.documents.storage import Soundness

_POLL_S: Final = 0.5
_REPLACED_S: Final = 15.0
"""What has replaced a damaged record is filed after 10 s at most."""


@click.command()
@click.option("--wait", is_flag=True, help="Return when every node has read everything.")
@asks_cluster
@output_option
def scrub(target: Target, wait: bool, output: str) -> None:
    """Have every node read all that it stores, and look for damage.

    The nodes do so by themselves once a day. A damaged record is replaced by another node's. With
    --wait the exit code is 7 if some stay damaged.

    \b
    kvorum scrub --wait
    """

    async def run(nodes: EveryNode) -> Documents:
        begun = await nodes.ask(node_requests.scrub())
        if not wait:
            return begun
        await nodes.watch("scrub", node_requests.scrub_progress(), fraction_done)
        return await _repaired(nodes)

    documents = on_every_node(target, run)
    columns = ("node", "state", "#pairs", "#resealed", "#damaged", "#still damaged")
    print_result(output, documents, "scrub", columns, map(_row, documents, documents.values()))
    damaged = {node: _damaged(one) for node, one in documents.items()}
    if wait and any(damaged.values()):
        counts = ", ".join(f"{count} on {node}" for node, count in damaged.items() if count)
        raise Incomplete(
            f"Damaged records are left that no other node has replaced: {counts}. See "
            "'kvorum status' and 'kvorum repair --full'."
        )


async def _repaired(nodes: EveryNode) -> Documents:
    """Once nothing is damaged any more; or it is, though there was time to replace it."""
    deadline = time.monotonic() + _REPLACED_S
    while True:
        documents = await nodes.ask(node_requests.scrub_progress())
        left = any(map(_damaged, documents.values()))
        if not left or time.monotonic() >= deadline:
            return documents
        await asyncio.sleep(_POLL_S)


def fraction_done(document: dict[str, Any]) -> float:
    """Of the pass under way; 1 if there is none."""
    scrub = read(document, Soundness).scrub
    return min(scrub.fraction_done, 0.9999) if scrub.running else 1.0


def _damaged(document: dict[str, Any]) -> int:
    return read(document, Soundness).quarantine.damaged


def _row(node: str, document: dict[str, Any]) -> tuple[object, ...]:
    scrub = read(document, Soundness).scrub
    state = f"{scrub.fraction_done:.0%}" if scrub.running else "done"
    one = scrub if scrub.running else scrub.whole
    counts = (one.pairs, one.resealed, one.damaged) if one else (0, 0, 0)
    return (node, state, *counts, _damaged(document))
