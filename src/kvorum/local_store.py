"""The local store: all that one node keeps, put together on its data directory.

    RoutedStore        namespaces that live in memory only, apart from the others
      SealedStore      row cache; compression and encryption; what is damaged
        RocksStore     log, memtables, sorted files

It is made in two steps. Opening takes the directory and the engine's files. `unlock` finds the
keys and brings what is stored into its present form, which can take a while. From then on there
is `store`, the Store port, which is all that replication gets to see of this.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kvorum.model.errors import KvorumError, StorageError
from kvorum.model.keys import partition_of
from kvorum.model.topology import Topology
from kvorum.replication.recovery import note_loss
from kvorum.runtime.ports import Runtime
from kvorum.sealing.custody import Custody
from kvorum.sealing.former_life import FormerLives
from kvorum.sealing.master_key import MasterKeySource
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.resealing import Resealing
from kvorum.sealing.row_cache import RowCache, evictions
from kvorum.sealing.scrub import Engine, Scrub
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.vault import Vault
from kvorum.storage.budget import MEMORY_DEFAULT, Budget, promised
from kvorum.storage.directory import DataDirectory
from kvorum.storage.engine import EngineSettings
from kvorum.storage.identity import Facts
from kvorum.storage.rocks import RocksStore
from kvorum.storage.routed import RoutedStore, volatile_stores
from kvorum.storage.store import Store
from kvorum.storage.syncer import Syncer

OnFailed = Callable[[StorageError], object]


class Holding(msgspec.Struct, frozen=True):
    """Where a node keeps its data, what wraps its keys, and how much memory it may use for them.

    `master_key`: None for the file `master.key` in the directory. `memory`: bytes.
    """

    path: Path
    master_key: MasterKeySource | None = None
    memory: int = MEMORY_DEFAULT


class LocalStore:
    """Its store may be used once `unlock` is done, until `close`."""

    def __init__(
        self,
        topology: Topology,
        local: int,
        holding: Holding,
        runtime: Runtime,
        syncer: Syncer,
        on_failed: OnFailed,
    ) -> None:
        """Raises ConfigError or StorageError; then nothing is left open."""
        self._topology = topology
        self._holding = holding
        self._runtime = runtime
        self._on_failed = on_failed
        self._budget = Budget.split(holding.memory, promised(topology.namespaces.values()))
        self.directory = DataDirectory.open(holding.path, facts_of(topology, local))
        try:
            self.rocks = RocksStore.open(
                self.directory.rocks_path,
                runtime,
                syncer,
                on_failed,
                EngineSettings.within(self._budget),
                self.directory.space,
                self.directory.forget,
            )
        except BaseException:
            self.directory.release()
            raise
        self.on_damaged: Callable[[bytes], object] = _unheard
        """Told of the stored key of each pair that is newly found not to open."""
        self.vault: Vault
        self.store: Store
        self._rows = RowCache(self._budget.row_cache_bytes, evictions(topology.namespaces))
        self._volatile = volatile_stores(topology.namespaces, runtime)
        self._quarantine: Quarantine
        self._former_lives: FormerLives

    def unlock(self, done: Callable[[KvorumError | None], object]) -> None:
        """Find the keys, and make `store`; `done(error)` once it may be used.

        Raises StorageError if the directory cannot be written.
        """
        self.directory.founded()
        if self.directory.forgot:
            # The log was damaged: that has to be noted where the replicator will find it.
            note_loss(self.rocks, self._on_loss_noted, done)
        else:
            self._open_vault(done)

    def tend(
        self,
        files: Engine,
        pause_s: Callable[[int], float],
        recount: Callable[[], object],
    ) -> tuple[Custody, Scrub]:
        """Begin to look after what is stored, with pauses that follow the foreground.

        `recount()`: records have vanished that were counted.
        """
        scrub = Scrub(
            self.rocks,
            files,
            self.vault,
            self._runtime,
            pause_s,
            self._quarantine.add,
            self._on_failed,
        )
        custody = Custody(
            self.vault,
            self._rows,
            scrub,
            self._quarantine,
            self._former_lives,
            self._runtime,
            recount,
            self._on_failed,
        )
        scrub.start()
        return custody, scrub

    def caches(self) -> dict[str, Any]:
        """What each namespace has in memory, and how often it was found there."""
        volatile = {name: store.status() for name, store in self._volatile.items()}
        return {**self._rows.status(), **volatile}

    def close(self, counter: int) -> None:
        """Make everything durable and free the directory. The next life goes on after `counter`,
        the last one that was used. Raises StorageError.
        """
        self.rocks.close()
        if self.rocks.failed is None:
            self.directory.close(counter)

    def release(self) -> None:
        """Free the directory. Without `close`, the next life is a new actor."""
        try:
            self.rocks.close()
        finally:
            self.directory.release()

    # Unlocking

    def _on_loss_noted(
        self, done: Callable[[KvorumError | None], object], error: StorageError | None
    ) -> None:
        if error is not None:
            done(error)
            return
        try:
            self.directory.noted_loss()
        except StorageError as failure:
            done(failure)
        else:
            self._open_vault(done)

    def _open_vault(self, done: Callable[[KvorumError | None], object]) -> None:
        topology, holding = self._topology, self._holding
        try:
            self.vault = Vault.open(
                holding.path,
                self.rocks,
                topology.cluster,
                topology.namespaces,
                holding.master_key,
                self._runtime.wall_ms(),
            )
            resealing = Resealing(self.rocks, self.vault, lambda error: self._build(done, error))
            resealing.start()
        except KvorumError as error:
            done(error)

    def _build(
        self, done: Callable[[KvorumError | None], object], error: StorageError | None
    ) -> None:
        if error is not None:
            done(error)
            return
        bits = self._topology.partition_bits
        self._quarantine = Quarantine(
            self.rocks,
            lambda token: partition_of(token, bits),
            self._runtime.wall_ms,
            # Damage is met within reads; what follows from it comes after them.
            lambda stored_key: self._runtime.call_soon(self._damaged, stored_key),
        )
        self._former_lives = FormerLives(self.rocks)
        self.store = SealedStore(
            self.rocks,
            self.vault.seal,
            self._quarantine.add,
            self._rows,
            self._quarantine,
            self._former_lives,
        )
        if self._volatile:
            self.store = RoutedStore(self.store, self._volatile)
        done(None)

    def _damaged(self, stored_key: bytes) -> None:
        self.on_damaged(stored_key)


def facts_of(topology: Topology, local: int) -> Facts:
    """What a data directory of this node is bound to."""
    return Facts(
        cluster=topology.cluster,
        node=topology.nodes[local].name,
        partitions=topology.partitions,
        token_hash=topology.token_hash,
        token_seed=topology.token_seed,
    )


def _unheard(_stored_key: bytes) -> None:
    """There is nobody to repair it from."""
