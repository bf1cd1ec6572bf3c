"""The node: all concrete parts, put together. No other file of a server names them.

    start   data directory -> store -> replicator -> peers -> HTTP
    stop    the same backwards: HTTP finishes what has begun, links close, the store makes
            everything durable, and only then is the directory marked clean

A node whose store has failed must stop: `failed` says when. Its directory then stays
unclean, so its next life is a new actor and cannot answer for what was lost.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from kvorum.api.http.server import HttpServer
from kvorum.api.routes import api_routes
from kvorum.model.address import parse_address
from kvorum.model.errors import StorageError
from kvorum.model.placement import Placement
from kvorum.model.topology import Topology
from kvorum.net.peers import PeerNetwork
from kvorum.replication.overview import Overview
from kvorum.replication.replicator import Replicator
from kvorum.runtime.loop import LoopRuntime
from kvorum.storage.actor_names import ActorNames
from kvorum.storage.directory import DataDirectory
from kvorum.storage.identity import Facts
from kvorum.storage.rocks import RocksStore
from kvorum.storage.syncer import AdaptiveSyncer, NoSyncer, Syncer


class Node:
    """The node called `name` of `topology`, with its data in `data_dir`."""

    def __init__(self, topology: Topology, name: str, data_dir: Path) -> None:
        self._topology = topology
        self._local = topology.index(name)
        self._data_dir = data_dir
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
            directory.rocks_path, runtime, self._syncer(runtime), self._on_store_failed
        )
        meet = Acquaintances(directory)
        network = PeerNetwork(topology, local, directory, runtime, meet)
        replicator = meet.replicator = Replicator(
            topology,
            placement,
            local,
            directory.actor,
            directory.counter,
            runtime,
            store,
            network,
            past=directory.past,
        )
        self._parts.callback(self._close_store, store, directory, replicator)

        self._parts.push_async_callback(network.close)
        await network.start(replicator)

        actor_names = ActorNames(directory, spec.name)
        overview = Overview(topology, placement, local, replicator, network, runtime, actor_names)
        routes = api_routes(replicator, overview, replicator.repairs, topology.secret, actor_names)
        server = HttpServer(runtime, routes)
        self._parts.push_async_callback(server.close)
        await server.start(*parse_address(spec.http))
        replicator.start()

    def _syncer(self, runtime: LoopRuntime) -> Syncer:
        """All namespaces share one log: it is synced before acks if any of them asks for it."""
        durabilities = {settings.durability for settings in self._topology.namespaces.values()}
        if durabilities == {"os"}:
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

    def _remember(self, who: tuple[str, str], error: StorageError | None) -> None:
        if error is None:
            self._directory.remember(*who)
