"""Every node of a cluster, each asked by itself, for what concerns the nodes and no entry."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from kvorum.client.requests import Request

Documents = dict[str, dict[str, Any]]
"""By node."""

Ask = Callable[[Request], Awaitable[dict[str, Any]]]


class Nodes(Protocol):
    """The nodes of a cluster by name."""

    async def ask(self, request: Request) -> Documents:
        """What all of them answer. Raises a KvorumError if one does not."""

    async def ask_one(self, node: str, request: Request) -> dict[str, Any]:
        """What the node of that name answers. Raises its error."""


class EachNode:
    """The nodes that `ask_of` has a way to."""

    def __init__(self, ask_of: Mapping[str, Ask]) -> None:
        self._ask_of = ask_of

    async def ask(self, request: Request) -> Documents:
        """What all of them answer, at once. Raises the first error."""
        answers = await asyncio.gather(*(ask(request) for ask in self._ask_of.values()))
        return dict(zip(self._ask_of, answers, strict=True))

    async def ask_one(self, node: str, request: Request) -> dict[str, Any]:
        """What the node of that name answers. Raises its error."""
        return await self._ask_of[node](request)
