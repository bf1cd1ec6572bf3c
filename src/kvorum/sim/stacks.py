"""What lies between a node's journal and its simulated disk.

    open      nothing: the disk has records and entries as they are
    sealed    the real node's sealing: row cache, compression, encryption, quarantine, scrubber
              and keys, of which only the keyring is a real file

Sealing costs more, so few runs have it. On a sealed disk damage changes a byte, and all that
follows is found out by what lies above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from kvorum.journal.emptied_first import EmptiedFirst
from kvorum.journal.entries import Entries, OpenEntries, SealedEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.keys import partition_of
from kvorum.model.prefixes import RECORD
from kvorum.model.topology import Topology
from kvorum.replication.replicator import Replicator
from kvorum.sealing.key_admin import KeyAdmin
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.row_cache import RowCache, evictions
from kvorum.sealing.scrub import Scrub, Settled
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.sealing.vault import Vault
from kvorum.sim.disk import DiskStore
from kvorum.sim.scheduler import NodeRuntime
from kvorum.storage.store import FlushTarget

ROWS_BYTES: Final = 4096
"""Of the row cache: for a few records only, so that others have to be opened."""


class OpenStack:
    """Nothing: the disk is what the journal flushes to.

    `scrub()` finds all that is damaged. `damage(key)`: what is stored of a plain key does not read
    any more; `held(key)`: what is stored there and sound. `records()`: the plain keys of the
    records that are durable on the disk.
    """

    def __init__(self, store: DiskStore, runtime: NodeRuntime) -> None:
        self.below: FlushTarget = store
        self.entries: Entries = OpenEntries()
        self.shred_horizon: ShredHorizon | None = None
        self.key_admin: KeyAdmin | None = None
        self._store = store
        self._runtime = runtime
        self.scrub = store.scrub
        self.damage = store.damage
        self.held = store.held
        self.is_damaged = store.is_damaged

    def tend(self, replicator: Replicator, _journal: JournaledStore) -> None:
        """The node is built: begin to look after what is stored."""
        self._store.on_damaged = partial(self._runtime.call_soon, replicator.on_damaged)

    def stop(self) -> None:
        """Nothing is under way."""

    def records(self) -> Iterator[bytes]:
        return self._store.disk.records()


class SealedStack:
    """The real node's, on the simulated disk `store`. The keyring is in `directory`."""

    def __init__(
        self,
        directory: Path,
        topology: Topology,
        store: DiskStore,
        runtime: NodeRuntime,
        on_failed: Callable[[StorageError], None],
    ) -> None:
        self._store = store
        self._runtime = runtime
        self._on_failed = on_failed
        self._on_damaged: Callable[[bytes], object] = _ignore
        namespaces = topology.namespaces
        self._vault = Vault.open(
            directory, store, topology.cluster, namespaces, None, runtime.wall_ms()
        )
        bits = topology.partition_bits
        self._quarantine = Quarantine(
            store,
            lambda token: partition_of(token, bits),
            runtime.wall_ms,
            lambda stored_key: runtime.call_soon(self._on_damaged, stored_key),
        )
        self._rows = RowCache(ROWS_BYTES, evictions(namespaces))
        self.shred_horizon: ShredHorizon | None = ShredHorizon(store)
        self.below: FlushTarget = SealedStore(
            store, self._vault.seal, self._quarantine.add, self._rows, self._quarantine
        )
        self.entries: Entries = SealedEntries(self._vault.seal, topology.cluster)
        self.key_admin: KeyAdmin | None = None
        self._scrub: Scrub
        self._journal: JournaledStore

    def tend(self, replicator: Replicator, journal: JournaledStore) -> None:
        assert self.shred_horizon is not None
        self._on_damaged = replicator.on_damaged
        self._journal = journal
        self._scrub = Scrub(
            self._store,
            EmptiedFirst(journal, _Files(self._store)),
            self._vault,
            self._runtime,
            replicator.pace.pause_s,
            self._quarantine.add,
            self._on_failed,
        )
        self.key_admin = KeyAdmin(
            self._vault,
            self._forget,
            self._scrub,
            self._quarantine,
            self.shred_horizon,
            self._runtime,
            replicator.recount,
            self._on_failed,
        )
        self._scrub.start()

    def _forget(self, namespace: str) -> None:
        self._rows.clear()
        self._journal.forget(namespace)

    def stop(self) -> None:
        self._scrub.stop()

    def scrub(self) -> None:
        self._scrub.begin()

    def damage(self, key: bytes) -> None:
        self._store.spoil(self._vault.seal.stored_key(key))

    def held(self, key: bytes) -> bytes | None:
        return self._opened(key)[0]

    def is_damaged(self, key: bytes) -> bool:
        return self._opened(key)[1]

    def _opened(self, key: bytes) -> tuple[bytes | None, bool]:
        """What is stored, and whether something is that does not open."""
        stored_key = self._vault.seal.stored_key(key)
        sealed = self._store.held(stored_key)
        try:
            found = None if sealed is None else self._vault.seal.open(stored_key, sealed)
        except CorruptRecord:
            return None, True
        return found and found[1], False

    def records(self) -> Iterator[bytes]:
        for stored_key, sealed in self._store.disk.content.items():
            if stored_key[:1] == RECORD:
                with suppress(CorruptRecord):  # damaged before
                    yield self._vault.seal.open(stored_key, sealed)[0]


Stack = OpenStack | SealedStack
"""What lies between the journal of one node life and its disk."""


class _Files:
    """The engine's files are the disk: what is durable there needs no log."""

    def __init__(self, store: DiskStore) -> None:
        self._store = store

    def flush(self, settled: Settled) -> None:
        self._store.sync(_tell, settled)

    compact = flush


def _tell(settled: Settled, error: StorageError | None) -> None:
    settled(error)


def _ignore(_key: bytes) -> Any:
    """The node is not built yet."""
