"""What the service needs of a node. Replies come exactly once, never before the call returned.

Documents are the structs of `documents/`, or values that a serialiser can write as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from kvorum.documents.data_keys import DataKeys, RotatedKeys, ShreddedNamespace
from kvorum.documents.health import Health, Readiness
from kvorum.documents.location import Location
from kvorum.documents.namespaces import NamespaceList
from kvorum.documents.ring import Ring
from kvorum.documents.snapshot import SnapshotJob, SnapshotList
from kvorum.documents.status import AcceptedClock, Status
from kvorum.documents.storage import Soundness
from kvorum.model.catalog import Catalog
from kvorum.model.errors import StorageError
from kvorum.model.record import Record
from kvorum.model.request import Failure, Listing, Request, Result, Selection


class Coordinator(Protocol):
    """Carries out what concerns entries."""

    def submit(self, request: Request, reply: Callable[[Result], object], /) -> None:
        """Carry out `request`."""

    def scan(
        self,
        selection: Selection,
        reply: Callable[[Listing | Failure], object],
        /,
    ) -> None:
        """A page of the live entries of `selection`."""

    def ingest(
        self, namespace: str, key: str, record: Record, w: int, reply: Callable[[Result], object], /
    ) -> None:
        """Merge `record` into the owners of `key`; `w` of 0 is the namespace's."""


class Introspection(Protocol):
    """The documents of a node about itself."""

    def status(self) -> Status: ...

    def ring(self) -> Ring: ...

    def accept_clock(self) -> AcceptedClock:
        """Take this node's clock for right as it is."""

    def locate(self, namespace: str, key: str, reply: Callable[[Location], object], /) -> None:
        """Where `key` lives and who holds which version. Raises NamespaceNotFound or InvalidKey."""


class Metrics(Protocol):
    """The metrics of a node."""

    def write(self, done: Callable[[bytes | None], object], /) -> None:
        """Call `done` with their text, in the format of Prometheus; None if that failed."""


class HealthChecks(Protocol):
    """What a node says to whoever decides where requests go, and whether to start it again."""

    def health(self) -> Health: ...

    def readiness(self) -> Readiness: ...


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
    """The snapshots of a node, and the jobs about them. Each raises a KvorumError for a bad name,
    NotFound and PreconditionFailed included, and Overloaded while another job is under way.
    """

    def begin_create(self, name: str | None, /) -> SnapshotJob: ...

    def begin_verify(self, name: str, /) -> SnapshotJob: ...

    def begin_delete(self, name: str, /) -> SnapshotJob: ...

    def progress(self, name: str, /) -> SnapshotJob: ...

    def list(self) -> SnapshotList: ...


class Namespaces(Protocol):
    """The namespaces of a node. `catalog`: the settings of each, as of now."""

    @property
    def catalog(self) -> Catalog: ...

    def document(self) -> NamespaceList:
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

    def keys(self) -> DataKeys: ...

    def rotate(self, namespace: str | None, /) -> RotatedKeys:
        """Raises NamespaceNotFound."""

    def shred(self, namespace: str, before_ms: int | None, /) -> ShreddedNamespace:
        """Raises NamespaceNotFound or RequestError."""

    def status(self) -> Soundness: ...

    def scrub(self) -> Soundness:
        """Begin a pass now."""
