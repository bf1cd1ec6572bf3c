"""Changes of the namespaces of one node, as requested by clients, programs and cluster files.

    PUT, create_namespace ──> next catalog ──> the local store can? ──> catalog.json ──> the view
    SIGHUP                    (model/catalog)   (local_namespaces)       durable        tells all

At its start a node has one authority for its namespaces: the catalog in its data directory, which
is changed by requests, or a cluster file, which is edited and read again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from kvorum.cluster.view import ClusterView
from kvorum.documents.namespaces import NamespaceList, RemovedUntil
from kvorum.local_namespaces.local_namespaces import LocalNamespaces
from kvorum.model.catalog import Catalog, check_alteration, difference, passed_moment
from kvorum.model.errors import ConfigError, PreconditionFailed, RequestError, StorageError
from kvorum.model.topology import NamespaceSettings, Topology, naming
from kvorum.model.topology_toml import namespace_settings
from kvorum.runtime.ports import Runtime


class Namespaces:
    """The namespaces of one node. A change is made when the method returns, or has failed."""

    __slots__ = ("_local", "_runtime", "_source", "_view")

    def __init__(
        self,
        view: ClusterView,
        local: LocalNamespaces,
        runtime: Runtime,
        source: str | None = None,
    ) -> None:
        """`source`: the cluster file that is the authority; None if the data directory is."""
        self._view = view
        self._local = local
        self._runtime = runtime
        self._source = source

    @property
    def catalog(self) -> Catalog:
        """The namespaces that are served."""
        return self._view.catalog

    def document(self) -> NamespaceList:
        """The settings of all namespaces by name, those that were dropped, and those of them that
        are still being deleted.
        """
        catalog = self._view.catalog
        return NamespaceList(
            version=catalog.version,
            source=self._source,
            now_ms=self._runtime.wall_ms(),
            namespaces=dict(sorted(catalog.namespaces.items())),
            removals={
                name: RemovedUntil(before_ms=removal.before_ms)
                for name, removal in sorted(self._local.removals.items())
            },
            dropped=self._local.dropped,
        )

    # One by one

    def put(self, name: str, fields: Mapping[str, object], version: int | None = None) -> bool:
        """Make the namespace `name` with the settings `fields`, or alter these settings of it.

        Returns True if it was made. `version`: that of the catalog that the change is based on.
        Raises RequestError, PreconditionFailed, DiskFull, StorageError, or UnavailableError while
        an earlier one of that name is being deleted.
        """
        new = self._next(name, fields, version)
        if new is None:
            return False
        is_made = name not in self._view.catalog.namespaces
        self._go_over_to(new, self._runtime.wall_ms())
        return is_made

    def check(self, name: str, fields: Mapping[str, object], version: int | None = None) -> None:
        """Raises what `put` would raise, as far as can be known."""
        self._next(name, fields, version)

    def _next(self, name: str, fields: Mapping[str, object], version: int | None) -> Catalog | None:
        """The catalog after the change; None if it changes nothing."""
        self._check_source()
        catalog, nodes = self._view.catalog, len(self._view.topology.nodes)
        old = catalog.namespaces.get(name)
        with _requested():
            settings = self._settings(name, old, fields)
            if settings == old:
                return None
            self._check_version(version)
            change = catalog.creating if old is None else catalog.altering
            new = change(name, settings, nodes)
            self._local.check(new)
        return new

    def create(self, name: str, fields: Mapping[str, object]) -> bool:
        """Make the namespace `name`; False if there is one with these settings. Raises as `put`,
        and RequestError if there is one with others.
        """
        existing = self._view.catalog.namespaces.get(name)
        with _requested():
            settings = self._settings(name, None, fields)
        if existing is not None and existing != settings:
            raise RequestError(
                f"A namespace named {name!r} already exists, with other settings.",
                advice="Alter that one, or choose another name.",
            )
        return self.put(name, fields)

    def drop(
        self,
        name: str,
        before_ms: int | None,
        version: int | None,
        done: Callable[[StorageError | None], object],
    ) -> None:
        """Drop the namespace `name` and all its entries. What was written to it up to `before_ms`
        (None: now) is refused from then on, also if a peer offers it.

        Calls `done(error)` when nobody can read the entries any more. Raises NamespaceNotFound,
        RequestError, PreconditionFailed or StorageError.
        """
        self._check_source()
        with _requested():
            new = self._view.catalog.dropping(name)
        self._check_version(version)
        self._go_over_to(new, passed_moment(before_ms, self._runtime.wall_ms()))
        self._local.removing.settled(name, done)

    def _settings(
        self, name: str, old: NamespaceSettings | None, fields: Mapping[str, object]
    ) -> NamespaceSettings:
        known = {} if old is None else msgspec.structs.asdict(old)
        with naming(f"namespace {name!r}"):
            return namespace_settings({**known, **fields}, len(self._view.topology.nodes))

    def _check_source(self) -> None:
        if self._source is not None:
            raise RequestError(
                f"The namespaces of this node are those of the cluster file {self._source}.",
                advice=f"Edit {self._source} for every node, and send each node's process SIGHUP.",
            )

    def _check_version(self, version: int | None) -> None:
        current = self._view.catalog.version
        if version is not None and version != current:
            raise PreconditionFailed(
                f"The namespaces have changed: they are at version {current}, not {version}.",
                advice="Read the namespaces again, and repeat the change if it still applies.",
            )

    # All at once

    def declare(self, namespaces: Mapping[str, NamespaceSettings]) -> list[str]:
        """Change the namespaces to those of a cluster file. Returns a sentence on each change.

        Raises ConfigError, DiskFull or UnavailableError, and then nothing was changed; and
        StorageError.
        """
        old = self._view.catalog
        new = Catalog(version=old.version + 1, namespaces=namespaces)
        changes = difference(old, new)
        if not changes:
            return []
        for name in changes.altered:
            check_alteration(name, old.namespaces[name], new.namespaces[name])
        self._local.check(new)
        self._go_over_to(new, self._runtime.wall_ms())
        return [
            *(f"namespace {name} was made" for name in changes.created),
            *(
                f"namespace {name} was altered: {_altered(old, new, name)}"
                for name in changes.altered
            ),
            *(f"namespace {name} was dropped" for name in changes.dropped),
        ]

    def _go_over_to(self, new: Catalog, before_ms: int) -> None:
        self._local.commit(new, before_ms)
        self._view.change_catalog(new)
        if self._local.failed is not None:
            raise self._local.failed


def check_same_but_namespaces(old: Topology, new: Topology) -> None:
    """Raises ConfigError if anything but the namespaces differs: a node cannot change it while it
    runs.
    """
    for field in ("cluster", "epoch", "partitions", "token_hash", "token_seed", "nodes", "secret"):
        if getattr(old, field) != getattr(new, field):
            raise ConfigError(
                f"{field!r} has changed, and only namespaces can change while a node runs. Change "
                "it back, or restart the nodes."
            )


@contextmanager
def _requested() -> Iterator[None]:
    """Turns a ConfigError on what a request asks for into a RequestError."""
    try:
        yield
    except ConfigError as error:
        details = {"advice": "Nothing was changed.", **error.details}
        raise RequestError(error.message, **details) from error


def _altered(old: Catalog, new: Catalog, name: str) -> str:
    before = msgspec.structs.asdict(old.namespaces[name])
    after = msgspec.structs.asdict(new.namespaces[name])
    return ", ".join(
        f"{field} {before[field]} -> {after[field]}"
        for field in after
        if before[field] != after[field]
    )
