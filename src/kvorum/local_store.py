"""The local store: all that one node keeps, put together on its data directory.

    RoutedStore          namespaces that live in memory only, apart from the others
      JournaledStore     what is written is durable at once, and flushed later
        SealedStore      row cache; compression and encryption; what is damaged
          RocksStore     log, memtables, sorted files

JournaledStore and RocksStore have a log each. The first is what a write waits for; when it is
flushed behind the second one, the first lets go of it.

It is made in two steps. Opening takes the directory and the engine's files. `unlock` finds the
keys and brings what is stored into its present form, which can take a while. From then on there
is `store`, the Store port, which is all that replication gets to see of this.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import msgspec

from kvorum.journal.checkpoint import Checkpoints
from kvorum.journal.emptied_first import EmptiedFirst, Files
from kvorum.journal.entries import SealedEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import SegmentLimits
from kvorum.journal.storage_numbers import StorageNumbers
from kvorum.journal.take_up import TakeUp
from kvorum.local_namespaces.local_catalog import starting_catalog, waits_for_disk
from kvorum.local_namespaces.local_namespaces import LocalNamespaces
from kvorum.local_namespaces.parts import Parts
from kvorum.model.catalog import Catalog
from kvorum.model.entry_counts import EntryCounts
from kvorum.model.errors import CorruptRecord, KvorumError, StorageError
from kvorum.model.keys import partition_of
from kvorum.model.topology import Topology
from kvorum.runtime.descriptors import ENGINE_MAX
from kvorum.runtime.ports import Runtime
from kvorum.runtime.standard_descriptors import fill_standard_descriptors
from kvorum.sealing.key_admin import KeyAdmin
from kvorum.sealing.master_key import MasterKeySource
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.resealing import Resealing
from kvorum.sealing.row_cache import RowCache, evictions
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import Vault
from kvorum.storage.budget import MEMORY_DEFAULT, Budget, promised
from kvorum.storage.catalog_file import CatalogFile
from kvorum.storage.directory import DataDirectory
from kvorum.storage.engine import EngineSettings
from kvorum.storage.engine_threads import check_not_forked
from kvorum.storage.identity import Facts
from kvorum.storage.log_files import LogFiles
from kvorum.storage.rocks import RocksStore
from kvorum.storage.routed import RoutedStore, volatile_stores
from kvorum.storage.store import Store
from kvorum.storage.syncer import Syncers

_LOG: Final = logging.getLogger(__name__)

OnFailed = Callable[[StorageError], object]
Unlocked = Callable[[KvorumError | None], object]


class Holding(msgspec.Struct, frozen=True):
    """Where a node keeps its data, what wraps its keys, and how much memory it may use for them.

    `master_key`: None for the file `master.key` in the directory. `memory`: bytes. `open_files`:
    how many sorted files the engine keeps open. `own_catalog`: the namespaces are those in the
    directory, which begins with what the topology declares; else they are those of the topology.
    """

    path: Path
    master_key: MasterKeySource | None = None
    memory: int = MEMORY_DEFAULT
    open_files: int = ENGINE_MAX
    own_catalog: bool = False


class LocalStore:
    """Its store may be used once `unlock` is done, until `close`."""

    def __init__(
        self,
        topology: Topology,
        local: int,
        holding: Holding,
        runtime: Runtime,
        syncers: Syncers,
        on_failed: OnFailed,
    ) -> None:
        """Raises ConfigError or StorageError; then nothing is left open."""
        check_not_forked()
        fill_standard_descriptors()
        self._topology = topology
        self._holding = holding
        self._runtime = runtime
        self._on_failed = on_failed
        DataDirectory.check(holding.path, facts_of(topology, local))
        self._on_disk = CatalogFile(holding.path).read(len(topology.nodes))
        self._stored = starting_catalog(self._on_disk, topology, own=holding.own_catalog)
        namespaces = self._stored.namespaces
        self._budget = Budget.split(holding.memory, promised(namespaces.values()))
        for syncer in syncers:
            syncer.choose(waits_for_disk(namespaces))
        self.directory = DataDirectory.open(holding.path, facts_of(topology, local))
        self._above = ExitStack()
        """What has to be closed before the engine's files are."""
        try:
            self._open_files(syncers)
        except BaseException:
            self.directory.release()
            raise
        self.on_damaged: Callable[[bytes], object] = _unheard
        """Told of the stored key of each pair that is newly found not to open."""
        self.vault: Vault
        self.store: Store
        self.namespaces: LocalNamespaces
        self._rows = RowCache(self._budget.row_cache_bytes, evictions(namespaces))
        self._volatile = volatile_stores(namespaces, runtime, topology.partition_bits)
        self._quarantine: Quarantine
        self._shred_horizon: ShredHorizon
        self._log: LogFiles
        self._journaled: JournaledStore

    def unlock(self, done: Unlocked) -> None:
        """Find the keys, and make `store`; `done(error)` once it may be used.

        Raises StorageError if the directory cannot be written.
        """
        self.directory.founded()
        try:
            self._open_vault(done)
        except KvorumError as error:
            done(error)

    def tend(
        self,
        files: Files,
        pause_s: Callable[[int], float],
        recount: Callable[[], object],
    ) -> tuple[KeyAdmin, Scrub]:
        """Begin to look after what is stored, with pauses that follow the foreground.

        `recount()`: records have vanished that were counted.
        """
        scrub = Scrub(
            self.rocks,
            EmptiedFirst(self._journaled, files),
            self.vault,
            self._runtime,
            pause_s,
            self._quarantine.add,
            self._on_failed,
        )
        key_admin = KeyAdmin(
            self.vault,
            self._forget,
            scrub,
            self._quarantine,
            self._shred_horizon,
            self._runtime,
            recount,
            self._on_failed,
        )
        self.namespaces.tend(scrub)
        scrub.start()
        return key_admin, scrub

    def checkpoints(self, hand_over: Callable[..., object]) -> Checkpoints:
        """`hand_over(callback, *args)` has the loop call back, whichever thread asks for it."""
        return Checkpoints(self._journaled, self.rocks, hand_over)

    def caches(self) -> dict[str, Any]:
        """What each namespace has in memory, and how often it was found there."""
        volatile = {name: store.status() for name, store in self._volatile.items()}
        return {**self._rows.status(), **volatile}

    def numbers(self) -> StorageNumbers:
        """What there is to flush, how the journal's syncs went, and the room on the disk."""
        space = self.directory.space
        return StorageNumbers.of(self._journaled, self._log, self.rocks, space)

    def volatile_counts(self) -> dict[str, EntryCounts]:
        """The entries of each namespace that is kept in memory only."""
        return {name: store.counts for name, store in self._volatile.items()}

    def close(self, counter: int) -> None:
        """Make everything durable and free the directory. The next life goes on after `counter`,
        the last one that was used. Raises StorageError.
        """
        self._close()
        if self.directory.watch.lost is not None:
            raise self.directory.watch.lost
        if self.rocks.failed is None and self._log.failed is None:
            self.directory.close(counter, self._log.newest)

    def release(self) -> None:
        """Free the directory. Without `close`, the next life is a new actor."""
        try:
            self._close()
        finally:
            self.directory.release()

    def _close(self) -> None:
        try:
            self._above.close()
        finally:
            self.rocks.close()

    def _open_files(self, syncers: Syncers) -> None:
        directory, space = self.directory, self.directory.space
        try:
            self.rocks = RocksStore.open(
                directory.rocks_path,
                self._runtime,
                syncers.engine,
                self._on_failed,
                EngineSettings.within(self._budget, self._holding.open_files),
                space,
                directory.forget,
                directory.watch,
            )
        except BaseException:
            syncers.log.close()
            raise
        try:
            self._log = LogFiles.open(
                directory.journal_path,
                self._runtime,
                syncers.log,
                self._on_failed,
                space,
                directory.watch,
            )
        except BaseException:
            self.rocks.close()
            raise
        self._above.callback(self._log.close)

    @property
    def catalog(self) -> Catalog:
        """The namespaces that this life began with, or went over to since."""
        return self.namespaces.catalog

    @property
    def shredded_since(self) -> Mapping[bytes, int]:
        """By namespace the moment up to which what was written there was shredded (ms)."""
        return self._shred_horizon.since_ms

    def _forget(self, namespace: str) -> None:
        """What was written to `namespace` is not to be seen any more."""
        self._rows.clear()
        self._journaled.forget(namespace)

    # Unlocking

    def _open_vault(self, done: Unlocked) -> None:
        topology, holding = self._topology, self._holding
        self.vault = Vault.open(
            self.directory.path,
            self.rocks,
            topology.cluster,
            self._stored.namespaces,
            holding.master_key,
            self._runtime.wall_ms(),
        )
        if self._on_disk is None:
            self._tell_of_strangers()
        self._build()
        self.namespaces.begin()
        take_up = TakeUp(self._journaled, self._log, self.directory, self.namespaces.replayed)
        resealing = Resealing(
            self.rocks,
            self.vault,
            take_up.empty,
            lambda error: self._resealed(take_up, done, error),
        )
        resealing.start()

    def _tell_of_strangers(self) -> None:
        """There is no list of namespaces: the directory is new, or has lost it."""
        known = self._stored.namespaces
        strangers = [name for name in sorted(self.vault.keyring.namespaces) if name not in known]
        if strangers:
            _LOG.warning(
                "%s has no list of namespaces. It has keys of %s, whose entries are not served. "
                "Make them with 'kvorum namespace create', or declare them in the cluster file.",
                self.directory.path,
                ", ".join(map(repr, strangers)),
            )

    def _build(self) -> None:
        bits = self._topology.partition_bits
        self._quarantine = Quarantine(
            self.rocks,
            lambda token: partition_of(token, bits),
            self._runtime.wall_ms,
            # Damage is met within reads; what follows from it comes after them.
            lambda stored_key: self._runtime.call_soon(self._damaged, stored_key),
        )
        self._shred_horizon = ShredHorizon(self.rocks)
        self._journaled = JournaledStore(
            SealedStore(
                self.rocks, self.vault.seal, self._quarantine.add, self._rows, self._quarantine
            ),
            self._log,
            SealedEntries(self.vault.seal, self._topology.cluster),
            self._runtime,
            SegmentLimits.within(self._budget, self.directory.path),
            self._on_failed,
            self._shred_horizon,
        )
        self._above.callback(self._journaled.close)
        routed = RoutedStore(self._journaled, self._volatile)
        self.store = routed
        parts = Parts(
            self.rocks,
            self._log,
            self._journaled,
            routed,
            self._volatile,
            self._rows,
            self.vault,
            self._shred_horizon,
            self._quarantine,
            bits,
        )
        self.namespaces = LocalNamespaces(
            parts,
            self.directory,
            self._stored,
            self._on_disk,
            self._holding.memory,
            self._runtime,
            self._on_failed,
        )

    def _resealed(self, take_up: TakeUp, done: Unlocked, error: StorageError | None) -> None:
        """All is in its present form, but for the journal."""
        if error is not None:
            done(error)
        else:
            take_up.finish(lambda failure: self._taken_up(done, failure))

    def _taken_up(self, done: Unlocked, error: StorageError | None) -> None:
        if error is not None:
            done(error)
        else:
            self.namespaces.finish(done)

    def _damaged(self, stored_key: bytes) -> None:
        self.on_damaged(stored_key)


def facts_of(topology: Topology, local: int) -> Facts:
    """What a data directory of this node is bound to."""
    return Facts(
        cluster=topology.cluster,
        node=topology.node(local).name,
        partitions=topology.partitions,
        token_hash=topology.token_hash,
        token_seed=topology.token_seed,
    )


def unreadable(path: Path, error: CorruptRecord) -> StorageError:
    """What to say where a note that the node needs to run is damaged."""
    why = error.message.removesuffix(".")
    return StorageError(
        f"Notes of the store's own cannot be read in {path}: {why}. Give the node its data again: "
        "from the other nodes with 'kvorum rebuild', else from a snapshot."
    )


def _unheard(*_found: bytes) -> None:
    """There is nobody to repair it from."""
