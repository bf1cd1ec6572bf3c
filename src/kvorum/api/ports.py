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


class Repairs(Protocol):
    """Repairs that this node was asked for, as documents that msgspec can encode."""

    def begin(
        self, namespace: str | None, partition: int | None, key: str | None, /, *, full: bool
    ) -> Any:
        """Start one, over all that is not narrowed down. Raises a KvorumError."""

    def progress(self, number: str, /) -> Any:
        """How far a repair is. Raises NotFound."""

    def overview(self) -> Any: ...


class Introspection(Protocol):
    """What a node tells of itself: documents that msgspec can encode."""

    def status(self) -> Any: ...

    def ring(self) -> Any: ...

    def accept_clock(self) -> Any:
        """Take this node's clock for right as it is."""

    def locate(self, namespace: str, key: str, reply: Callable[[Any | Failure], object], /) -> None:
        """Where `key` lives and who holds which version. Raises a KvorumError for a bad name."""
