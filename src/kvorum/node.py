"""The node: all concrete parts, put together. No other file of a server names them.

    start   data directory -> store -> vault -> replicator -> peers -> HTTP
    stop    the same backwards: HTTP finishes what has begun, links close, the store makes
            everything durable, and only then is the directory marked clean

A node whose store has failed must stop: `failed` says when. Its directory then stays
unclean, so its next life is a new actor and cannot answer for what was lost.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from kvorum.api.http.server import HttpServer
from kvorum.api.routes import api_routes
from kvorum.backup.creation import Node as SnapshotNode
from kvorum.backup.manifest import Origin
from kvorum.backup.snapshots import Snapshots
from kvorum.model.address import parse_address
from kvorum.model.errors import StorageError
from kvorum.model.placement import Placement
from kvorum.model.topology import Topology
from kvorum.model.topology_toml import dump_topology
from kvorum.net.peers import PeerNetwork
from kvorum.replication.overview import Overview
from kvorum.replication.recovery import note_loss
from kvorum.replication.replicator import Replicator
from kvorum.runtime.loop import LoopRuntime
from kvorum.sealing.custody import Custody
from kvorum.sealing.former_life import FormerLives
from kvorum.sealing.master_key import MasterKeySource
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.resealing import Resealing
from kvorum.sealing.row_cache import RowCache, evictions
from kvorum.sealing.scrub import Scrub
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.vault import Vault
from kvorum.storage.actor_names import ActorNames
from kvorum.storage.budget import MEMORY_DEFAULT, Budget, promised
from kvorum.storage.directory import DataDirectory
from kvorum.storage.engine import EngineSettings
from kvorum.storage.file_work import FileWork
from kvorum.storage.identity import Facts
from kvorum.storage.rocks import RocksStore
from kvorum.storage.routed import RoutedStore, volatile_stores
from kvorum.storage.store import Store
from kvorum.storage.syncer import AdaptiveSyncer, NoSyncer, Syncer

_LESSON_EVERY_S: Final = 1.0


class Node:
    """The node called `name` of `topology`, with its data in `data_dir`.

    `master_key`: None for the file `master.key` in there. `memory`: bytes for all caches and
    buffers. Raises ConfigError if that is too little.
    """

    def __init__(
        self,
        topology: Topology,
        name: str,
        data_dir: Path,
        master_key: MasterKeySource | None = None,
        memory: int = MEMORY_DEFAULT,
    ) -> None:
        self._topology = topology
        self._budget = Budget.split(memory, promised(topology.namespaces.values()))
        self._local = topology.index(name)
        self._data_dir = data_dir
        self._master_key = master_key
        self._parts = AsyncExitStack()
        self._failure: asyncio.Future[StorageError] | None = None

    async def start(self) -> None:
        """Serve. Raises ConfigError or StorageError; then nothing is left open."""
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise

    async def stop(self) -> None:
        await self._parts.aclose()

    async def failed(self) -> StorageError:
        """Returns when the store has failed and the node must stop."""
        assert self._failure is not None, "start it first"
        return await self._failure

    async def _start(self) -> None:
        topology, local = self._topology, self._local
        spec = topology.nodes[local]
        loop = asyncio.get_running_loop()
        runtime = LoopRuntime(loop)
        self._failure = loop.create_future()
        placement = Placement(topology)

        directory = DataDirectory.open(self._data_dir, facts_of(topology, local))
        self._parts.callback(directory.release)
        store = RocksStore.open(
            directory.rocks_path,
            runtime,
            self._syncer(runtime),
            self._on_store_failed,
            EngineSettings.within(self._budget),
            directory.space,
            directory.forget,
        )
        self._parts.callback(store.close)
        store.read_in_thread(loop.call_soon_threadsafe)
        directory.founded()
        if directory.forgot:
            await self._note_loss(store, directory, loop)
        vault = await self._vault(store, runtime)
        rows = RowCache(self._budget.row_cache_bytes, evictions(topology.namespaces))
        meet = Acquaintances(directory)
        quarantine = Quarantine(
            store,
            placement.partition,
            runtime.wall_ms,
            # It is met within reads, and for hints before there is a replicator.
            lambda stored_key: runtime.call_soon(meet.on_damaged, stored_key),
        )
        former_lives = FormerLives(store)
        sealed = SealedStore(store, vault.seal, quarantine.add, rows, quarantine, former_lives)
        routed = RoutedStore(sealed, volatile_stores(topology.namespaces, runtime))
        network = PeerNetwork(topology, local, directory, runtime, meet)
        replicator = meet.replicator = Replicator(
            topology,
            placement,
            local,
            directory.actor,
            directory.counter,
            runtime,
            routed if routed.status() else sealed,
            network,
            crashed=directory.crashed,
        )
        self._parts.callback(self._close_store, store, directory, replicator)

        files = FileWork(store, loop.call_soon_threadsafe)
        self._parts.callback(files.close)
        scrub = Scrub(
            store,
            files,
            vault,
            runtime,
            replicator.pace.pause_s,
            quarantine.add,
            self._on_store_failed,
        )
        self._parts.callback(scrub.stop)
        store.damaged_files.on_gap = replicator.recount_soon
        custody = Custody(
            vault,
            rows,
            scrub,
            quarantine,
            former_lives,
            runtime,
            replicator.recount,
            self._on_store_failed,
        )

        self._parts.push_async_callback(network.close)
        await network.start(replicator)

        actor_names = ActorNames(directory, spec.name)
        overview = Overview(
            topology,
            placement,
            local,
            replicator,
            network,
            runtime,
            actor_names,
            caches=lambda: {**rows.status(), **routed.status()},
            storage=lambda: {**custody.status(), "damaged_files": store.damaged_files.found},
        )
        snapshots = self._snapshots(directory, vault, store, runtime)
        self._parts.push_async_callback(asyncio.to_thread, snapshots.close)
        routes = api_routes(
            replicator,
            overview,
            replicator.repairs,
            topology.secret,
            actor_names,
            snapshots=snapshots,
            records=replicator,
            custody=custody,
        )
        server = HttpServer(runtime, routes)
        self._parts.push_async_callback(server.close)
        await server.start(*parse_address(spec.http))
        replicator.start()
        scrub.start()
        self._parts.push_async_callback(_ended, loop.create_task(self._teach(vault, runtime)))

    async def _note_loss(
        self, store: Store, directory: DataDirectory, loop: asyncio.AbstractEventLoop
    ) -> None:
        """The log was damaged: have it noted where the replicator will find it."""
        noted: asyncio.Future[StorageError | None] = loop.create_future()
        note_loss(store, asyncio.Future.set_result, noted)
        error = await noted
        if error is not None:
            raise error
        directory.noted_loss()

    async def _vault(self, store: RocksStore, runtime: LoopRuntime) -> Vault:
        """What seals and opens the records of `store`, all of them in their present form."""
        topology = self._topology
        vault = Vault.open(
            self._data_dir,
            store,
            topology.cluster,
            topology.namespaces,
            self._master_key,
            runtime.wall_ms(),
        )
        resealed: asyncio.Future[StorageError | None] = runtime.loop.create_future()
        Resealing(store, vault, resealed.set_result).start()
        error = await resealed
        if error is not None:
            raise error
        return vault

    async def _teach(self, vault: Vault, runtime: LoopRuntime) -> None:
        """Train compression dictionaries when they are due."""
        try:
            while True:
                await asyncio.sleep(_LESSON_EVERY_S)
                lesson = vault.lesson(runtime.now())
                if lesson is not None:
                    learned = await asyncio.to_thread(lesson.learn)
                    vault.learned(lesson, learned, runtime.now())
        except StorageError as error:
            self._on_store_failed(error)

    def _snapshots(
        self, directory: DataDirectory, vault: Vault, store: RocksStore, runtime: LoopRuntime
    ) -> Snapshots:
        topology = self._topology
        spec = topology.nodes[self._local]
        text = dump_topology(topology)
        origin = Origin(topology.cluster, spec.name, directory.node_id, topology.epoch, text)
        keyring = vault.keyring
        node = SnapshotNode(directory.path, origin, store.checkpoint, lambda: keyring.master)
        return Snapshots(node, runtime.wall_ms)

    def _syncer(self, runtime: LoopRuntime) -> Syncer:
        """All namespaces share one log: it is synced before acks if any of them asks for it."""
        durabilities = {settings.durability for settings in self._topology.namespaces.values()}
        if durabilities - {"none"} == {"os"}:
            return NoSyncer(runtime.call_soon)
        return AdaptiveSyncer(runtime, runtime.loop.call_soon_threadsafe)

    def _on_store_failed(self, error: StorageError) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(error)

    def _close_store(
        self, store: RocksStore, directory: DataDirectory, replicator: Replicator
    ) -> None:
        replicator.stop()
        store.close()
        if store.failed is None:
            directory.close(replicator.counter)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def facts_of(topology: Topology, local: int) -> Facts:
    """What a data directory of this node is bound to."""
    return Facts(
        cluster=topology.cluster,
        node=topology.nodes[local].name,
        partitions=topology.partitions,
        token_hash=topology.token_hash,
        token_seed=topology.token_seed,
    )


class Acquaintances:
    """Notes who the peers are, and tells the replicator of one that has lost its data."""

    def __init__(self, directory: DataDirectory) -> None:
        self._directory = directory
        self.replicator: Replicator

    def __call__(self, node: int, node_id: str, name: str) -> None:
        if self._directory.knew_another(node_id, name):
            # Its new id is noted only when it is sure that its loss will not be forgotten.
            self.replicator.on_peer_replaced(node, self._remember, (node_id, name))
        else:
            self._directory.remember(node_id, name)

    def on_damaged(self, stored_key: bytes) -> None:
        self.replicator.on_damaged(stored_key)

    def _remember(self, who: tuple[str, str], error: StorageError | None) -> None:
        if error is None:
            self._directory.remember(*who)
