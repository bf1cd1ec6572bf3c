"""What the service needs of a node. Replies come exactly once, never before the call returned.

Documents are values that a serialiser can write as they are: dicts, lists, text, numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kvorum.model.catalog import Catalog
from kvorum.model.errors import StorageError
from kvorum.model.record import Record
from kvorum.model.request import Failure, Listing, Request, Result


class Coordinator(Protocol):
    """Carries out what concerns entries."""

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

    def ingest(
        self,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
        /,
    ) -> None:
        """Merge `record` into the owners of `key`; `w` of 0 is the namespace's."""


class Introspection(Protocol):
    """What a node tells of itself, as documents."""

    def status(self) -> Any: ...

    def ring(self) -> Any: ...

    def accept_clock(self) -> Any:
        """Take this node's clock for right as it is."""

    def locate(self, namespace: str, key: str, reply: Callable[[Any | Failure], object], /) -> None:
        """Where `key` lives and who holds which version. Raises a KvorumError for a bad name."""


class Repairs(Protocol):
    """Repairs that this node was asked for, as documents."""

    def begin(
        self, namespace: str | None, partition: int | None, key: str | None, /, *, full: bool
    ) -> Any:
        """Start one, over all that is not narrowed down. Raises a KvorumError."""

    def progress(self, number: str, /) -> Any:
        """How far a repair is. Raises NotFound."""

    def overview(self) -> Any: ...


class Snapshots(Protocol):
    """Jobs as documents. They raise a KvorumError for a bad name."""

    def begin_create(self, name: str | None, /) -> Any: ...

    def begin_verify(self, name: str, /) -> Any: ...

    def begin_delete(self, name: str, /) -> Any: ...

    def progress(self, name: str, /) -> Any: ...

    def list(self) -> Any: ...


class Namespaces(Protocol):
    """The namespaces of a node. `catalog`: the settings of each, as of now."""

    @property
    def catalog(self) -> Catalog: ...

    def document(self) -> Any:
        """All of them, and what is still being deleted."""

    def put(self, name: str, fields: dict[str, Any], version: int | None, /) -> bool:
        """True if it was made. Raises a KvorumError; then nothing was changed."""

    def check(self, name: str, fields: dict[str, Any], version: int | None, /) -> None:
        """Raises what `put` would raise."""

    def drop(
        self,
        name: str,
        before_ms: int | None,
        version: int | None,
        done: Callable[[StorageError | None], object],
        /,
    ) -> None:
        """`done(error)` once it is for good. Raises a KvorumError; then nothing was changed."""


class KeyAdmin(Protocol):
    """The keys and stored records of a node, as documents."""

    def keys(self) -> Any: ...

    def rotate(self, namespace: str | None, /) -> Any:
        """Raises NamespaceNotFound."""

    def shred(self, namespace: str, before_ms: int | None, /) -> Any:
        """Raises NamespaceNotFound or RequestError."""

    def status(self) -> Any: ...

    def scrub(self) -> Any: ...
