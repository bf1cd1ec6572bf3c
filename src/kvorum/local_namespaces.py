"""The namespaces of a local store: what exists once for each of them is made, altered and ended.

    created   keys and a seal; a share of the row cache, or a store in memory
    altered   how new records are sealed; what caches give up; whether acks wait for the disk
    dropped   keys and dictionaries are destroyed; rows, entries in the journal and what is in
              memory are forgotten; what lies open on the disk is deleted by the scrubber

A change is decided when `catalog.json` is durable (`commit`). All that follows can be done again,
and after a crash it is:

    commit ──> keys destroyed ──> moment noted ──> [records deleted] ──> removal over
    (catalog)     (keys.json)     (in the store)     (whole scrub pass)      (catalog)

While a removal is not over, no namespace of that name can be made: what is read under it would be
the old one's. For an encrypted namespace that takes as long as two writes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import SegmentLimits
from kvorum.model.catalog import Catalog, difference
from kvorum.model.errors import ConfigError, DiskFull, KvorumError, StorageError, UnavailableError
from kvorum.model.topology import NamespaceSettings
from kvorum.runtime.ports import Runtime
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.removal import delete_removed
from kvorum.sealing.row_cache import RowCache
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import NOTE as FORMAT_NOTE
from kvorum.sealing.vault import Vault
from kvorum.storage.budget import Budget, promised
from kvorum.storage.catalog_file import CatalogFile, Removal, StoredCatalog, waits_for_disk
from kvorum.storage.directory import DataDirectory
from kvorum.storage.log_files import LogFiles
from kvorum.storage.rocks import RocksStore
from kvorum.storage.routed import RoutedStore
from kvorum.storage.store import ignore
from kvorum.storage.volatile import VolatileStore

NAMESPACES_MAX: Final = 1000
_LOG: Final = logging.getLogger(__name__)
_CHANGE_BYTES: Final = 1 << 20
"""Room for the files that a change replaces."""

Settled = Callable[[StorageError | None], object]
Done = Callable[[KvorumError | None], object]


class Parts(NamedTuple):
    """Of a local store: those that know of namespaces."""

    rocks: RocksStore
    log: LogFiles
    journaled: JournaledStore
    routed: RoutedStore
    volatile: dict[str, VolatileStore]
    rows: RowCache
    vault: Vault
    shred_horizon: ShredHorizon
    quarantine: Quarantine


class LocalNamespaces:
    """What a local store has for each namespace, and how that changes."""

    __slots__ = (
        "_directory",
        "_failed",
        "_file",
        "_memory",
        "_on_disk",
        "_on_failed",
        "_parts",
        "_runtime",
        "_scrub",
        "_stored",
        "_waiting",
    )

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
        """`stored`: what this life begins with; `on_disk`: what the last one has left. `memory`:
        the whole budget, in bytes.
        """
        self._parts = parts
        self._directory = directory
        self._file = CatalogFile(directory.path)
        self._stored = stored
        self._on_disk = on_disk
        self._memory = memory
        self._runtime = runtime
        self._on_failed = on_failed
        self._scrub: Scrub | None = None
        self._waiting: dict[str, list[Settled]] = {}
        self._failed: StorageError | None = None

    @property
    def catalog(self) -> Catalog:
        """As it was last committed."""
        return self._stored.catalog

    @property
    def removals(self) -> Mapping[str, Removal]:
        """Of dropped namespaces, by name, that something may be left of."""
        return self._stored.removals

    @property
    def dropped(self) -> dict[str, int]:
        """By the name of each namespace that was ever dropped or shredded here: up to when what was
        written to it is gone (ms).
        """
        since_ms = self._parts.shred_horizon.since_ms
        return {name.decode(): moment_ms for name, moment_ms in sorted(since_ms.items())}

    # Changes

    def check(self, new: Catalog) -> None:
        """Raises ConfigError if this node cannot go over to `new`, DiskFull if it has no room, and
        UnavailableError if it cannot yet. Changes nothing.
        """
        parts = self._parts
        if len(new.namespaces) > NAMESPACES_MAX:
            raise ConfigError(f"A node has at most {NAMESPACES_MAX} namespaces. Drop some first.")
        Budget.check_promised(self._memory, promised(new.namespaces.values()))
        created = new.namespaces.keys() - self.catalog.namespaces.keys()
        for name in sorted(created):
            if name in self.removals:
                raise UnavailableError(
                    f"A namespace {name!r} was dropped, and its entries are still being deleted "
                    "from the disk. Create it when 'kvorum namespace list' no longer shows it.",
                    retry_after=1,
                )
            parts.vault.check_created(name, new.namespaces[name])
        if created and parts.rocks.full:
            raise DiskFull("The disk is full. Make room on it, then create the namespace.")

    def commit(self, new: Catalog, before_ms: int) -> None:
        """Have `new` decided, durably; `change` carries it out. Of what is dropped, all that was
        written up to `before_ms` is gone for good, also if a peer offers it again.

        Waits for the disk. Raises StorageError: then the node must stop, and `on_failed` was told.
        """
        removals = dict(self.removals)
        for name in difference(self.catalog, new).dropped:
            since_ms = self._parts.shred_horizon.since_ms.get(name.encode(), 0)
            # Each removal has a moment of its own, by which the scrubber knows it again.
            moment_ms = max(before_ms, since_ms + 1)
            removals[name] = Removal(
                before_ms=moment_ms, lies_open=_lies_open(self.catalog.namespaces[name])
            )
        namespaces = dict(new.namespaces)
        self._write(
            msgspec.structs.replace(
                self._stored, version=new.version, namespaces=namespaces, removals=removals
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
        """Why what was decided could not be carried out, or may not have been decided; None if it
        was. The next start carries it out.
        """
        return self._failed

    def _fail(self, error: StorageError) -> None:
        """The node must stop. Until it does it takes no more writes: it might not keep them."""
        why = error.message.removesuffix(".")
        self._failed = StorageError(
            f"{why}. The namespaces of this node could not be changed as decided, and it "
            "takes no more writes. Set that right, and start it again.",
            outcome="unknown",
        )
        self._parts.journaled.refuse(self._failed)
        waiting, self._waiting = self._waiting, {}
        for then in (then for each in waiting.values() for then in each):
            self._runtime.call_soon(then, self._failed)
        self._on_failed(self._failed)

    def settled(self, name: str, then: Settled) -> None:
        """`then(error)` once the drop of `name` is for good: nobody can read what was in it."""
        removal = self.removals.get(name)
        if removal is None or name not in self._waiting:
            self._runtime.call_soon(then, self._failed)
        else:
            self._waiting[name].append(then)

    def _create(self, name: str, settings: NamespaceSettings) -> None:
        parts = self._parts
        self._directory.space.make_room(_CHANGE_BYTES)
        parts.vault.create(name, settings, self._runtime.wall_ms())
        parts.journaled.forget(name)  # What came late for an earlier one of that name.
        if settings.durability == "none":
            store = VolatileStore(self._runtime, settings.max_memory, settings.eviction)
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
        self._directory.space.make_room(_CHANGE_BYTES)
        parts.rows.remove(name)
        parts.routed.remove(name)
        parts.volatile.pop(name, None)
        parts.journaled.forget(name)
        self._end(name, removal)

    def _refit(self, new: Catalog) -> None:
        """Fit caches into what is promised by now, and wait for the disk if anybody asks for it."""
        parts = self._parts
        budget = Budget.split(self._memory, promised(new.namespaces.values()))
        parts.rows.resize(budget.row_cache_bytes)
        parts.rocks.resize(budget.cache_bytes)
        parts.journaled.resize(SegmentLimits.within(budget, self._directory.path))
        waits = waits_for_disk(new.namespaces)
        parts.log.choose(waits)
        parts.rocks.choose(waits)

    def _note_format(self) -> None:
        """A start does not take what was made or dropped for settings that have changed."""
        note = msgspec.json.encode(self._parts.vault.wanted_format)
        self._parts.rocks.write(FORMAT_NOTE, note)
        self._parts.rocks.sync(ignore, None)

    # Removals

    def begin(self) -> None:
        """Destroy the keys of what an earlier life dropped, before anything is opened with them.

        Raises StorageError.
        """
        parts = self._parts
        for name, removal in self.removals.items():
            self._end(name, removal)
            settings = self.catalog.namespaces.get(name)
            if settings is not None:  # It is in the cluster file again.
                parts.vault.create(name, settings, self._runtime.wall_ms())

    def replayed(self) -> None:
        """The journal was played back: forget what it still has of dropped namespaces."""
        for name in self.removals:
            self._parts.journaled.forget(name)

    def finish(self, done: Done) -> None:
        """Delete what is left of a dropped namespace whose name another one has by now, and bring
        the catalog on the disk up to date; `done(error)`. Blocks while it deletes.
        """
        taken = [name for name in self.removals if name in self.catalog.namespaces]
        if not taken:
            self._write_at_start(done)
        elif self._parts.rocks.full:
            done(
                DiskFull(
                    f"The disk is full, and entries of the dropped namespace {taken[0]!r} have to "
                    "be deleted before another one can have its name. Make room on it."
                )
            )
        else:
            self.remove_now(taken, lambda error: self._finished(done, error))

    def remove_now(self, names: Sequence[str], done: Settled) -> None:
        """Delete what is left of these dropped namespaces; `done(error)`. Blocks meanwhile, and
        needs room on the disk.
        """
        self._parts.journaled.empty(self._emptied, (names, done))

    def _finished(self, done: Done, error: StorageError | None) -> None:
        if error is not None:
            done(error)
        else:
            self._write_at_start(done)

    def tend(self, scrub: Scrub) -> None:
        """From now on `scrub` deletes what lies open of dropped namespaces."""
        self._scrub = scrub
        scrub.on_removed = self._removed
        scrub.on_deleted = self._parts.quarantine.release

    def _end(self, name: str, removal: Removal) -> None:
        """Nobody can read what was written to `name` from here on."""
        parts = self._parts
        self._waiting.setdefault(name, [])
        if removal.lies_open:
            parts.vault.remove(name, removal.before_ms)
        parts.vault.drop(name)
        parts.shred_horizon.end(name, removal.before_ms, self._ended, (name, removal))

    def _ended(self, which: tuple[str, Removal], error: StorageError | None) -> None:
        name, removal = which
        if error is None and not removal.lies_open:
            error = self._forget_removal(name, removal.before_ms)
        for then in self._waiting.pop(name, []):
            then(error)

    def _removed(self, name: str, before_ms: int) -> None:
        """A whole pass has left nothing of it."""
        self._forget_removal(name, before_ms)

    def _forget_removal(self, name: str, before_ms: int) -> StorageError | None:
        removal = self.removals.get(name)
        if removal is None or removal.before_ms != before_ms:
            return None  # It was over, or another one of that name has been dropped since.
        self._parts.vault.removed(name)
        left = {other: one for other, one in self.removals.items() if other != name}
        try:
            self._write(msgspec.structs.replace(self._stored, removals=left))
        except StorageError as error:
            return error
        _LOG.info("nothing is left of the dropped namespace %s", name)
        return None

    def _emptied(self, work: tuple[Sequence[str], Settled], error: StorageError | None) -> None:
        names, done = work
        parts = self._parts
        if error is not None:
            done(error)
            return
        try:
            delete_removed(parts.rocks, parts.vault.seal, parts.quarantine.release)
        except StorageError as failure:
            done(failure)
        else:
            parts.rocks.sync(self._deleted, (names, done))

    def _deleted(self, work: tuple[Sequence[str], Settled], error: StorageError | None) -> None:
        names, done = work
        for name in names:
            if error is None and name in self.removals:
                error = self._forget_removal(name, self.removals[name].before_ms)
        done(error)

    # The file

    def _write_at_start(self, done: Done) -> None:
        try:
            self._write(self._stored)
        except StorageError as error:
            done(error)
        else:
            done(None)

    def _write(self, stored: StoredCatalog) -> None:
        if stored == self._on_disk:
            return
        try:
            self._directory.watch.look()
            self._directory.space.make_room(_CHANGE_BYTES)
            self._file.write(stored)
        except StorageError as error:
            self._fail(error)
            raise
        self._stored = self._on_disk = stored


def _lies_open(settings: NamespaceSettings) -> bool:
    return settings.encryption == "off" and settings.durability != "none"
