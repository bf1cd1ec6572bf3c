"""Entries by the thousand, stored as lists before or between what is measured."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

import click

from kvorum.client.asynchronous import AsyncClient
from kvorum.model.errors import KvorumError

_VALUE: Final = "x" * 100
_LIST: Final = 1000


async def store(clients: Sequence[AsyncClient], keys: Sequence[str], what: str) -> None:
    """Store a value of 100 bytes under each of `keys`; raises the first error met."""
    chunks = (keys[start : start + _LIST] for start in range(0, len(keys), _LIST))
    label = f"{what}: {len(keys):,} entries"
    with click.progressbar(length=len(keys), label=label, file=sys.stderr) as bar:

        async def worker(client: AsyncClient) -> None:
            for chunk in chunks:
                results = await client.set_many([(key, _VALUE) for key in chunk])
                failed = [result for result in results if isinstance(result, KvorumError)]
                if failed:
                    raise failed[0]
                bar.update(len(chunk))

        # Two lists for each client, so that a server has one while the answer to the other
        # travels.
        await asyncio.gather(*map(worker, [*clients, *clients]))
