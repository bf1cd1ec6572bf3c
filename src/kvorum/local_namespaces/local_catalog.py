"""The catalog of a node on its own disk (`catalog.json`), and the one that a start begins with.

The catalog also lists removals: dropped namespaces of which something may be left in the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kvorum.model.catalog import Catalog, difference
from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.topology import NamespaceSettings, Topology
from kvorum.storage.catalog_file import CatalogFile, Removal, StoredCatalog
from kvorum.storage.directory import DataDirectory

CHANGE_BYTES: Final = 1 << 20
"""Space on the disk for the files that a change of the namespaces replaces."""

_LOG: Final = logging.getLogger(__name__)


def starting_catalog(
    stored: StoredCatalog | None, topology: Topology, *, own: bool
) -> StoredCatalog:
    """The catalog that a node starts with. `own`: True if the directory's catalog is the authority,
    which begins as the topology's; else the topology is.

    Raises ConfigError if the topology would undo what was changed in the directory.
    """
    declared = dict(topology.namespaces)
    if stored is None:
        return StoredCatalog(version=1, namespaces=declared, own=own)
    if own:
        return msgspec.structs.replace(stored, own=True)
    for name in stored.namespaces.keys() & declared.keys():
        _check_hash_tags(name, stored.namespaces[name], declared[name])
    if stored.namespaces == declared:
        return msgspec.structs.replace(stored, own=False)
    changes = difference(stored.catalog, Catalog(namespaces=declared))
    if stored.own:
        names = ", ".join(sorted({*changes.created, *changes.altered, *changes.dropped}))
        raise ConfigError(
            "The namespaces of this data directory were changed without a cluster file, and differ "
            f"from those of the given one: {names}. Start the node without the file, or declare "
            "the same namespaces in it."
        )
    for name in changes.dropped:
        _LOG.warning(
            "The namespace %r is not in the cluster file any more. Its entries stay on the disk "
            "and are served again if the file has it again. To have them destroyed, take it out of "
            "the file while the node runs, and send SIGHUP.",
            name,
        )
    return msgspec.structs.replace(stored, version=stored.version + 1, namespaces=declared)


def _check_hash_tags(name: str, stored: NamespaceSettings, declared: NamespaceSettings) -> None:
    """Raises ConfigError if keys would be looked for where they do not lie."""
    if stored.hash_tags != declared.hash_tags:
        was = str(stored.hash_tags).lower()
        raise ConfigError(
            f"The namespace {name!r} was made with 'hash_tags = {was}', and the cluster file says "
            "otherwise; where keys lie depends on it. Write this line under "
            f"[namespaces.{name}] of the file."
        )


def waits_for_disk(namespaces: Mapping[str, NamespaceSettings]) -> bool:
    """True if acknowledgements wait for the disk. As they share a log: if any asks for it."""
    return {settings.durability for settings in namespaces.values()} - {"none"} != {"os"}


class LocalCatalog:
    """The catalog as it was last committed."""

    def __init__(
        self,
        directory: DataDirectory,
        stored: StoredCatalog,
        on_disk: StoredCatalog | None,
        on_failed: Callable[[StorageError], object],
    ) -> None:
        """`stored`: at the start. `on_disk`: from the last run. `on_failed`: a write has failed."""
        self.stored = stored
        self._directory = directory
        self._file = CatalogFile(directory.path)
        self._on_disk = on_disk
        self._on_failed = on_failed

    @property
    def catalog(self) -> Catalog:
        """The namespaces."""
        return self.stored.catalog

    @property
    def removals(self) -> Mapping[str, Removal]:
        """The removals that are not over, by the name of the namespace."""
        return self.stored.removals

    def write(self, stored: StoredCatalog) -> None:
        """Commit `stored`. Blocks. Raises StorageError; then it may be durable or not."""
        if stored == self._on_disk:
            return
        try:
            self._directory.watch.look()
            self._directory.space.make_room(CHANGE_BYTES)
            self._file.write(stored)
        except StorageError as error:
            self._on_failed(error)
            raise
        self.stored = self._on_disk = stored
