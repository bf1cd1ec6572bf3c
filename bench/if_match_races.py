"""How often two writes that carry the same If-Match at the same time both succeed.

    race    a key is written; then two clients replace that version at once, each with
            If-Match, through two of the three nodes or both through one

A condition is checked by a quorum read before the write, so both may pass; they then make siblings.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

import click
from trio import Trio

from kvorum.client.asynchronous import AsyncClient
from kvorum.model.errors import PreconditionFailed

_PLACES: Final = {"two nodes": (0, 1), "one node": (0, 0)}


@click.command()
@click.option("--races", default=500, show_default=True, help="Through two nodes, and through one.")
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=".",
    help="Where the nodes' temporary data goes; it must be on a disk.  [default: here]",
)
def main(races: int, work_dir: Path) -> None:
    """Race two conditional writes against each other, on three nodes with the usual settings."""
    asyncio.run(_run(races, work_dir))


async def _run(races: int, work_dir: Path) -> None:
    async with Trio(work_dir) as trio:
        for name, (first, second) in _PLACES.items():
            clients = trio.clients[first], trio.clients[second]
            won = Counter([await _race(*clients, f"{name}:{i}") for i in range(races)])
            shares = ", ".join(f"{won[n] / races:.0%} {n} of 2" for n in (2, 1, 0))
            click.echo(f"through {name}: succeeded in {races} races: {shares}")


async def _race(first: AsyncClient, second: AsyncClient, key: str) -> int:
    """How many of two writes at once succeeded."""
    version = (await first.set(key, "before")).version
    assert version is not None
    return sum(
        await asyncio.gather(_replaces(first, key, version), _replaces(second, key, version))
    )


async def _replaces(client: AsyncClient, key: str, version: str) -> bool:
    try:
        await client.set(key, f"by {id(asyncio.current_task())}", if_version=version)
    except PreconditionFailed:
        return False
    return True


if __name__ == "__main__":
    main()
