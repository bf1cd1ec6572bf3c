"""What the API needs of a node. Replies come exactly once, never before the call returned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kvorum.model.request import Failure, Listing, Request, Result


class Coordinator(Protocol):
    def submit(self, request: Request, reply: Callable[[Result], object], /) -> None: ...

    def scan(
        self,
        namespace: str,
        after: bytes,
        limit: int,
        reply: Callable[[Listing | Failure], object],
        /,
    ) -> None:
        """A page of at most `limit` live entries after the cursor `after`; b"" begins."""


class Introspection(Protocol):
    """What a node tells of itself: documents that msgspec can encode."""

    def status(self) -> Any: ...

    def ring(self) -> Any: ...

    def locate(self, namespace: str, key: str, reply: Callable[[Any | Failure], object], /) -> None:
        """Where `key` lives and who holds which version. Raises a KvorumError for a bad name."""
