"""The namespaces of one node, as people and programs ask for them to be changed.

    PUT, create_namespace ──> next catalog ──> the local store can? ──> catalog.json ──> the view
    SIGHUP                    (model/catalog)   (local_namespaces)       durable        tells all

Who may say what namespaces there are is decided when the node starts: its data directory's own
catalog, which is changed here; or a cluster file, which people edit and have read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from kvorum.cluster.view import ClusterView
from kvorum.documents.namespaces import NamespaceList, RemovedUntil
from kvorum.local_namespaces import LocalNamespaces
from kvorum.model.catalog import Catalog, check_alteration, difference
from kvorum.model.errors import ConfigError, PreconditionFailed, RequestError, StorageError
from kvorum.model.topology import NamespaceSettings, Topology, naming
from kvorum.model.topology_toml import namespace_settings
from kvorum.runtime.ports import Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLOCKS_APART_MS: Final = 60_000


class Namespaces:
    __slots__ = ("_local", "_runtime", "_source", "_view")

    def __init__(
        self,
        view: ClusterView,
        local: LocalNamespaces,
        runtime: Runtime,
        source: str | None = None,
    ) -> None:
        """`source`: the cluster file that says which namespaces there are; None where the data
        directory does.
        """
        self._view = view
        self._local = local
        self._runtime = runtime
        self._source = source

    @property
    def catalog(self) -> Catalog:
        return self._view.catalog

    def document(self) -> NamespaceList:
        """All of them, for people: settings by name, what was dropped, and what of that is still
        being deleted.
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

        True if it was made. `version`: only if the catalog has that one. Nothing is done where
        nothing would change. Raises RequestError, PreconditionFailed, DiskFull, StorageError, or
        UnavailableError while an earlier one of that name is being deleted.
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
        """The catalog that this leads to; None if it changes nothing."""
        self._check_source()
        catalog, nodes = self._view.catalog, len(self._view.topology.nodes)
        old = catalog.namespaces.get(name)
        with _asked():
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
        there = self._view.catalog.namespaces.get(name)
        with _asked():
            wanted = self._settings(name, None, fields)
        if there is not None and there != wanted:
            raise RequestError(
                f"A namespace named {name!r} exists, with other settings.",
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
        """End the namespace `name` and all that is in it. What was written to it up to `before_ms`
        (now, if None) is gone for good, also if a peer offers it again.

        `done(error)` once that is sure. Raises NamespaceNotFound, RequestError, PreconditionFailed
        or StorageError.
        """
        self._check_source()
        with _asked():
            new = self._view.catalog.dropping(name)
        self._check_version(version)
        now_ms = self._runtime.wall_ms()
        before_ms = now_ms if before_ms is None else before_ms
        if not 0 < before_ms <= now_ms + _CLOCKS_APART_MS:
            raise RequestError(
                f"wanted a moment that has passed, {now_ms} ms or before, got {before_ms}; "
                "set the clocks of the nodes"
            )
        self._go_over_to(new, before_ms)
        self._local.settled(name, done)

    def _settings(
        self, name: str, old: NamespaceSettings | None, fields: Mapping[str, object]
    ) -> NamespaceSettings:
        known = {} if old is None else msgspec.structs.asdict(old)
        with naming(f"namespace {name!r}"):
            return namespace_settings({**known, **fields}, len(self._view.topology.nodes))

    def _check_source(self) -> None:
        if self._source is not None:
            raise RequestError(
                f"The namespaces of this node are those in {self._source}.",
                advice=f"Edit {self._source} for every node, and send each node's process SIGHUP.",
            )

    def _check_version(self, version: int | None) -> None:
        current = self._view.catalog.version
        if version is not None and version != current:
            raise PreconditionFailed(
                f"The namespaces have changed: wanted version {version} of them, got {current}.",
                advice="Read GET /namespaces again, and decide anew.",
            )

    # All at once

    def declare(self, namespaces: Mapping[str, NamespaceSettings]) -> list[str]:
        """Go over to what a cluster file declares by now. Returns a sentence on each change.

        Raises ConfigError, DiskFull, UnavailableError or StorageError; but for the last, nothing
        was changed then.
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
                f"{field!r} has changed, which takes a restart of the nodes; only namespaces can "
                "change while a node runs. Put it back, or restart them."
            )


@contextmanager
def _asked() -> Iterator[None]:
    """Around what a request asks for: where that cannot be, the request is to blame, no file."""
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
