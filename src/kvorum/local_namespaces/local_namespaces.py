"""The namespaces of a local store: creation, alteration and removal of what each of them has.

    created   keys and a seal; a share of the row cache, or a store in memory
    altered   how new records are sealed; eviction; whether acknowledgements wait for the disk
    dropped   keys and dictionaries are destroyed; rows, journal entries and what is in memory are
              forgotten; unencrypted records on the disk are deleted (`removals.py`)

A change is committed when the catalog is durable. All that follows can be repeated, and is, after a
crash.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kvorum.journal.segment import SegmentLimits
from kvorum.local_namespaces.local_catalog import CHANGE_BYTES, LocalCatalog, waits_for_disk
from kvorum.local_namespaces.parts import Parts
from kvorum.local_namespaces.removals import Removals
from kvorum.model.catalog import Catalog, difference
from kvorum.model.errors import ConfigError, DiskFull, KvorumError, StorageError, UnavailableError
from kvorum.model.sizes import format_size
from kvorum.model.topology import NamespaceSettings
from kvorum.runtime.ports import Runtime
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.vault import NOTE as FORMAT_NOTE
from kvorum.storage.budget import MEMORY_MIN, Budget, promised
from kvorum.storage.catalog_file import Removal, StoredCatalog
from kvorum.storage.directory import DataDirectory
from kvorum.storage.store import ignore
from kvorum.storage.volatile import VolatileStore

NAMESPACES_MAX: Final = 1000
Done = Callable[[KvorumError | None], object]


class LocalNamespaces:
    """The namespaces of one local store."""

    def __init__(
        self,
        parts: Parts,
        directory: DataDirectory,
        stored: StoredCatalog,
        on_disk: StoredCatalog | None,
        memory: int,
        runtime: Runtime,
        on_failed: Callable[[StorageError], object],
    ) -> None:
        """`stored`: what the node starts with; `on_disk`: what the last run has left. `memory`: the
        whole budget, in bytes. `on_failed` is told when the node must stop.
        """
        self._parts = parts
        self._directory = directory
        self._catalog = LocalCatalog(directory, stored, on_disk, self._fail)
        self._memory = memory
        self._runtime = runtime
        self._on_failed = on_failed
        self._scrub: Scrub | None = None
        self._failed: StorageError | None = None
        self.removing = Removals(parts, self._catalog, runtime)

    @property
    def catalog(self) -> Catalog:
        """The catalog as it was last committed."""
        return self._catalog.catalog

    @property
    def removals(self) -> Mapping[str, Removal]:
        """The removals of dropped namespaces that are not over, by name."""
        return self._catalog.removals

    @property
    def dropped(self) -> dict[str, int]:
        """The shred horizon (ms since 1970) of each namespace that was ever dropped or shredded."""
        since_ms = self._parts.shred_horizon.since_ms
        return {name.decode(): moment_ms for name, moment_ms in sorted(since_ms.items())}

    # Changes

    def check(self, new: Catalog) -> None:
        """Raises ConfigError if this node cannot change to `new`, DiskFull if the disk is full, and
        UnavailableError if it cannot yet. Changes nothing.
        """
        parts = self._parts
        if len(new.namespaces) > NAMESPACES_MAX:
            raise ConfigError(f"A node has at most {NAMESPACES_MAX} namespaces. Drop some first.")
        self._check_memory(promised(new.namespaces.values()))
        created = new.namespaces.keys() - self.catalog.namespaces.keys()
        for name in sorted(created):
            self._check_created(name, new.namespaces[name])
        if created and parts.rocks.full:
            raise DiskFull("The disk is full. Make room on it, then create the namespace.")

    def _check_memory(self, needed: int) -> None:
        try:
            Budget.split(self._memory, needed)
        except ConfigError as error:
            raise ConfigError(
                f"Namespaces kept in memory may take {format_size(needed)} in all, and "
                f"{format_size(MEMORY_MIN)} are needed beside; this node has "
                f"{format_size(self._memory)}. Lower max_memory, or give the node more memory."
            ) from error

    def _check_created(self, name: str, settings: NamespaceSettings) -> None:
        keyring = self._parts.vault.keyring
        if name in self.removals:
            raise UnavailableError(
                f"A namespace {name!r} was dropped, and its entries are still being deleted from "
                "the disk. Create it again when the list of namespaces no longer shows it.",
                retry_after=1,
            )
        if name in keyring.namespaces and settings.encryption == "off":
            raise ConfigError(
                f"The data directory has encrypted entries of an earlier namespace {name!r}. "
                "Choose another name, or leave encryption on."
            )
        if name not in keyring.namespaces and not keyring.has_room:
            raise ConfigError(
                "The data directory has used up all ids of data keys. Start the node on an empty "
                "one and let the other nodes fill it."
            )

    def commit(self, new: Catalog, before_ms: int) -> None:
        """Make `new` durable; `change` carries it out. What was written up to `before_ms` to a
        dropped namespace is refused from then on, also if a peer offers it.

        Blocks. Raises StorageError; then `on_failed` was told that the node must stop.
        """
        removals = dict(self.removals)
        for name in difference(self.catalog, new).dropped:
            since_ms = self._parts.shred_horizon.since_ms.get(name.encode(), 0)
            # Each removal has a time of its own, by which the scrubber identifies it.
            moment_ms = max(before_ms, since_ms + 1)
            removals[name] = Removal(
                before_ms=moment_ms, lies_open=_lies_open(self.catalog.namespaces[name])
            )
        namespaces, stored = dict(new.namespaces), self._catalog.stored
        self._catalog.write(
            msgspec.structs.replace(
                stored, version=new.version, namespaces=namespaces, removals=removals
            )
        )

    def change(self, old: Catalog, new: Catalog) -> None:
        """Carry out what was committed."""
        changes = difference(old, new)
        if not changes:
            return
        try:
            self._refit(new)
            for name in changes.created:
                self._create(name, new.namespaces[name])
            for name in changes.altered:
                self._alter(name, old.namespaces[name], new.namespaces[name])
            for name in changes.dropped:
                self._drop(name, self.removals[name])
            self._note_format()
        except StorageError as error:
            self._fail(error)
            return
        if changes.dropped and self._scrub is not None:
            self._scrub.begin()

    @property
    def failed(self) -> StorageError | None:
        """Why a committed change could not be carried out, which the next start does; or None."""
        return self._failed

    def _fail(self, error: StorageError) -> None:
        """The node must stop. Until it does it takes no more writes, as it might lose them."""
        self._failed = StorageError(
            f"{error.message.removesuffix('.')}. So the namespaces of this node could not be "
            "changed, and it takes no more writes. Resolve that, and start the node again.",
            outcome="unknown",
        )
        self._parts.journaled.refuse(self._failed)
        self.removing.fail(self._failed)
        self._on_failed(self._failed)

    def _create(self, name: str, settings: NamespaceSettings) -> None:
        parts = self._parts
        self._directory.space.make_room(CHANGE_BYTES)
        parts.vault.create(name, settings, self._runtime.wall_ms())
        parts.journaled.forget(name)  # Late writes to an earlier one of that name.
        if settings.durability == "none":
            store = VolatileStore(
                self._runtime, settings.max_memory, settings.eviction, parts.partition_bits
            )
            parts.volatile[name] = store
            parts.routed.add(name, store)
        else:
            parts.rows.add(name, settings.eviction)

    def _alter(self, name: str, old: NamespaceSettings, new: NamespaceSettings) -> None:
        parts = self._parts
        parts.vault.alter(name, new)
        if new.durability == "none":
            parts.volatile[name].alter(new.max_memory, new.eviction)
        elif old.eviction != new.eviction:
            parts.rows.add(name, new.eviction)

    def _drop(self, name: str, removal: Removal) -> None:
        parts = self._parts
        self._directory.space.make_room(CHANGE_BYTES)
        parts.rows.remove(name)
        parts.routed.remove(name)
        parts.volatile.pop(name, None)
        parts.journaled.forget(name)
        self.removing.begin(name, removal)

    def _refit(self, new: Catalog) -> None:
        """Resize the caches, and wait for the disk if any namespace asks for it."""
        parts = self._parts
        budget = Budget.split(self._memory, promised(new.namespaces.values()))
        parts.rows.resize(budget.row_cache_bytes)
        parts.rocks.resize(budget.cache_bytes)
        parts.journaled.resize(SegmentLimits.within(budget, self._directory.path))
        waits = waits_for_disk(new.namespaces)
        parts.log.choose(waits)
        parts.rocks.choose(waits)

    def _note_format(self) -> None:
        """Note the new format, so that the next start need not reseal anything."""
        note = msgspec.json.encode(self._parts.vault.present_format)
        self._parts.rocks.write(FORMAT_NOTE, note)
        self._parts.rocks.sync(ignore, None)

    # At a start

    def begin(self) -> None:
        """Destroy keys that an earlier run dropped, before they are used. Raises StorageError."""
        parts = self._parts
        for name, removal in self.removals.items():
            self.removing.begin(name, removal)
            settings = self.catalog.namespaces.get(name)
            if settings is not None:  # It is in the cluster file again.
                parts.vault.create(name, settings, self._runtime.wall_ms())

    def replayed(self) -> None:
        """The journal was replayed: forget its entries of dropped namespaces."""
        for name in self.removals:
            self._parts.journaled.forget(name)

    def finish(self, done: Done) -> None:
        """Write the catalog, after deleting what is left of dropped namespaces whose names are used
        again; `done(error)`. Blocks while it deletes.
        """
        taken = [name for name in self.removals if name in self.catalog.namespaces]
        if not taken:
            self._finished(done, None)
        elif self._parts.rocks.full:
            done(
                DiskFull(
                    f"The disk is full, and entries of the dropped namespace {taken[0]!r} have to "
                    "be deleted before another one can have its name. Make room on the disk."
                )
            )
        else:
            self.removing.delete_now(taken, lambda error: self._finished(done, error))

    def _finished(self, done: Done, error: StorageError | None) -> None:
        try:
            if error is None:
                self._catalog.write(self._catalog.stored)
        except StorageError as failure:
            error = failure
        done(error)

    def tend(self, scrub: Scrub) -> None:
        """From now on `scrub` deletes unencrypted records of dropped namespaces."""
        self._scrub = scrub
        scrub.on_removed = self.removing.end
        scrub.on_deleted = self._parts.quarantine.release


def _lies_open(settings: NamespaceSettings) -> bool:
    return settings.encryption == "off" and settings.durability != "none"
