"""The node: a server process's parts, put together. No other file of a server names them all.

    start   local store -> replicator -> peers -> service -> listener with HTTP
    stop    the reverse: the listener completes the running requests, links close, the store makes
            everything durable, and only then is the directory marked as cleanly stopped
            (a planned stop is prepared before: see `departure.py`)

A node whose store has failed must stop: `failed` tells when. Its directory is not marked then, so
the next start makes a new actor, which does not count as having the writes that were lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec

from kvorum.api.http.face import HttpFace
from kvorum.api.http.host_names import HostNames
from kvorum.api.limits import ApiLimits
from kvorum.api.routes import api_routes
from kvorum.backup.creation import Node as SnapshotNode
from kvorum.backup.manifest import Origin
from kvorum.backup.snapshots import Snapshots
from kvorum.cluster.view import ClusterView
from kvorum.documents.storage import Storage
from kvorum.links.limits import LinksLimits
from kvorum.listener.limits import ListenerLimits
from kvorum.listener.listener import Listener
from kvorum.local_store import Holding, LocalStore, unreadable
from kvorum.metrics.exposition import Exposition
from kvorum.metrics.loop_lag import LoopLag
from kvorum.metrics.resources import resources
from kvorum.metrics.sources import Sources
from kvorum.model.address import parse_address
from kvorum.model.errors import CorruptRecord, KvorumError, StorageError, UnavailableError
from kvorum.model.record import Event
from kvorum.model.topology import Topology
from kvorum.model.topology_toml import dump_topology
from kvorum.namespaces import Namespaces, check_same_but_namespaces
from kvorum.net.network import PeerNetwork
from kvorum.node.auditing import begin_audit
from kvorum.node.background import train_dictionaries, watch_clocks
from kvorum.node.departure import depart, until
from kvorum.node.guard import Guard
from kvorum.node.peer_identities import PeerIdentities
from kvorum.node.secured import NO_AUDIT, Secured
from kvorum.replication.overview import Overview
from kvorum.replication.readiness import HealthChecks
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.runtime.descriptors import Descriptors, descriptor_limit
from kvorum.runtime.loop import LoopRuntime
from kvorum.sealing.key_admin import KeyAdmin
from kvorum.sealing.master_key import MasterKeySource
from kvorum.service.access import OPEN
from kvorum.service.administration import Administration, NodeParts
from kvorum.service.audited_service import service_for
from kvorum.service.latencies import Latencies
from kvorum.service.service import Service
from kvorum.storage.actor_names import ActorNames
from kvorum.storage.budget import MEMORY_DEFAULT
from kvorum.storage.directory import DataDirectory
from kvorum.storage.file_work import FileWork
from kvorum.storage.security_file import SecurityFile, SecurityKeeper
from kvorum.storage.syncer import AdaptiveSyncer, SwitchedSyncer, Syncers, ThreadSyncer
from kvorum.wire.handshake import SPOKEN

_LOG: Final = logging.getLogger(__name__)
_LINKS_S_MAX: Final = 1.0
"""How long a node that starts waits for links to others before it takes requests."""


class Node:
    """A node of a cluster: the one called `name` of `topology`, with its data in `data_dir`.

    `master_key`: None for the file `master.key` in there. `memory`: bytes for all caches and
    buffers. `host_names`: names for the node in clients' requests, beside the hosts of the
    topology. `cluster_file`: the file that determines the namespaces; None if the data directory
    does, which begins with those of the topology. `secured`: None for a node that serves whoever
    reaches it. Raises ConfigError if the limit of open files is too low, or the certificate is no
    good.
    """

    def __init__(
        self,
        topology: Topology,
        name: str,
        data_dir: Path,
        master_key: MasterKeySource | None = None,
        memory: int = MEMORY_DEFAULT,
        host_names: Sequence[str] = (),
        cluster_file: Path | None = None,
        secured: Secured | None = None,
    ) -> None:
        self._topology = topology
        self._cluster_file = cluster_file
        self._namespaces: Namespaces | None = None
        self._local = topology.number_of(name)
        self._descriptors = Descriptors.split(
            descriptor_limit(), len(topology.nodes) - 1, ListenerLimits().connections
        )
        self._holding = Holding(
            data_dir,
            master_key,
            memory,
            self._descriptors.engine,
            own_catalog=cluster_file is None,
        )
        hosts = [parse_address(node.http).host for node in topology.nodes]
        self._host_names = HostNames([*hosts, *host_names])
        self._guard = None if secured is None else Guard(secured, topology, name)
        self._audit = NO_AUDIT if secured is None else secured.audit
        self._parts = AsyncExitStack()
        self._failure: asyncio.Future[StorageError] | None = None
        self._departure: Callable[[float], Coroutine[Any, Any, None]] | None = None

    async def start(self) -> None:
        """Start to serve. Raises ConfigError or StorageError; then nothing is left open."""
        try:
            await self._start()
        except BaseException as error:
            await self._parts.aclose()
            if isinstance(error, CorruptRecord):
                raise unreadable(self._holding.path, error) from error
            raise

    async def stop(self, grace_s: float = 0.0) -> None:
        """Stop serving, and make everything durable. Raises StorageError if that fails.

        With `grace_s`, clients and other nodes are told before, and clients have so many seconds
        to turn to other nodes.
        """
        failure = self._failure
        if grace_s and self._departure is not None and failure is not None and not failure.done():
            await self._departure(grace_s)
        await self._parts.aclose()

    async def failed(self) -> StorageError:
        """Waits until the node must stop because its store has failed; returns why."""
        assert self._failure is not None, "start it first"
        return await asyncio.shield(self._failure)

    def declare(self, topology: Topology) -> list[str]:
        """Change the namespaces to those of `topology`, read again from the cluster file. Returns a
        sentence on each change.

        Raises ConfigError if anything else in it differs or the namespaces are impossible, DiskFull
        or UnavailableError, and then nothing was changed; and StorageError.
        """
        if self._namespaces is None:
            raise UnavailableError("The node has not started yet.")
        check_same_but_namespaces(self._topology, topology)
        return self._namespaces.declare(topology.namespaces)

    async def _start(self) -> None:
        topology, local = self._topology, self._local
        spec = topology.node(local)
        loop = asyncio.get_running_loop()
        runtime = LoopRuntime(loop)
        self._failure = loop.create_future()

        local_store = LocalStore(
            topology, local, self._holding, runtime, self._syncers(runtime), self._on_store_failed
        )
        self._parts.callback(local_store.release)
        local_store.rocks.read_in_thread(loop.call_soon_threadsafe)
        await self._unlock(local_store, loop)
        directory = local_store.directory
        view = ClusterView(topology, local, local_store.catalog)
        view.subscribe(local_store.namespaces.change)
        source = None if self._cluster_file is None else str(self._cluster_file)
        self._namespaces = Namespaces(view, local_store.namespaces, runtime, source)

        identities = PeerIdentities(directory)
        descriptors = self._descriptors
        limits = LinksLimits(greeting_max=descriptors.greeting)
        guard = self._guard
        tls = None if guard is None else guard.tls
        network = PeerNetwork(topology, local, directory, runtime, identities, limits, tls)
        security = SecurityKeeper(SecurityFile(directory.path), loop.call_soon_threadsafe)
        self._parts.callback(security.close)
        replicator = identities.replicator = Replicator(
            view,
            runtime,
            network.peers,
            local_store.store,
            Incarnation(
                directory.actor,
                directory.counter,
                directory.crashed,
                local_store.shredded_since,
            ),
            on_outrun=partial(self._on_outrun, directory),
            tell=_LOG.warning,
            security=security,
        )
        self._parts.callback(self._close, local_store, replicator)
        key_admin = self._maintenance(local_store, replicator, loop)

        self._parts.push_async_callback(network.close)
        await network.start(replicator)

        bounds = ListenerLimits.within(
            self._holding.memory, connections=descriptors.clients, backlog=descriptors.backlog
        )
        listener = Listener(runtime, bounds)
        latencies = Latencies()
        actor_names = ActorNames(directory, spec.name)
        damaged_files = local_store.rocks.damaged_files
        overview = Overview(
            view,
            replicator,
            network.peers,
            runtime,
            actor_names,
            caches=local_store.caches,
            storage=lambda: Storage(
                **msgspec.structs.asdict(key_admin.status()), damaged_files=damaged_files.found
            ),
            connections=listener.status,
            resources=partial(resources, str(SPOKEN), local_store.numbers),
            volatile_counts=local_store.volatile_counts,
        )
        snapshots = self._snapshots(local_store, runtime)
        self._parts.push_async_callback(asyncio.to_thread, snapshots.close)
        auditor = await begin_audit(directory, self._audit, spec.name, runtime.wall_ms, self._parts)
        if guard is not None:
            guard.attach(replicator.security, directory.path, runtime, auditor)
            guard.follow(listener, network)
            self._parts.callback(guard.close)
        service = service_for(auditor)(
            replicator,
            topology.secret,
            actor_names,
            policy=OPEN if guard is None else guard.policy,
            latencies=latencies,
            auditor=auditor,
        )
        loop_lag = LoopLag(runtime, latencies.count)
        sources = Sources(
            overview.status,
            local_store.numbers,
            network.peers.traffic.as_dict,
            latencies,
            service.admission,
            loop_lag,
            auditor,
        )
        health_checks = HealthChecks(view, replicator, network.peers.is_linked, self._failed_with)
        parts = NodeParts(
            introspection=overview,
            metrics=Exposition(sources, runtime),
            health_checks=health_checks,
            repairs=replicator.repairs,
            snapshots=snapshots,
            key_admin=key_admin,
            namespaces=self._namespaces,
        )
        self._parts.push_async_callback(listener.close)
        http = self._http(service, Administration(service, parts))
        replicator.start()
        loop_lag.start()
        self._parts.callback(loop_lag.stop)
        await until(
            lambda: health_checks.has_quorums and (guard is None or replicator.security.told),
            _LINKS_S_MAX,
        )
        await listener.listen(http, *parse_address(spec.http), tls)
        background = [
            train_dictionaries(local_store.vault, runtime.now),
            watch_clocks(replicator.clocks, topology, runtime.now),
        ]
        if guard is not None:
            background.append(guard.watch())
        for work in background:
            self._parts.push_async_callback(_ended, loop.create_task(work))
        self._departure = partial(depart, health_checks, replicator, listener)

    def _http(self, service: Service, administration: Administration) -> HttpFace:
        limits, guard = ApiLimits.within(self._holding.memory), self._guard
        if guard is None:
            return HttpFace(api_routes(service, administration, limits), names=self._host_names)
        security = guard.administration(service)
        routes = api_routes(service, administration, limits, security)
        return HttpFace(routes, names=self._host_names, authenticator=guard.authenticator)

    async def _unlock(self, store: LocalStore, loop: asyncio.AbstractEventLoop) -> None:
        unlocked: asyncio.Future[KvorumError | None] = loop.create_future()
        store.unlock(lambda error: None if unlocked.done() else unlocked.set_result(error))
        error = await unlocked
        if error is not None:
            raise error

    def _maintenance(
        self, store: LocalStore, replicator: Replicator, loop: asyncio.AbstractEventLoop
    ) -> KeyAdmin:
        """Start the maintenance of the store, which reports damage to `replicator`."""
        store.on_damaged = replicator.on_damaged
        store.rocks.damaged_files.on_gap = replicator.recount_soon
        files = FileWork(store.rocks, loop.call_soon_threadsafe)
        self._parts.callback(files.close)
        key_admin, scrub = store.tend(files, replicator.pace.pause_s, replicator.recount)
        self._parts.callback(scrub.stop)
        return key_admin

    def _snapshots(self, store: LocalStore, runtime: LoopRuntime) -> Snapshots:
        directory, keyring = store.directory, store.vault.keyring
        name = self._topology.node(self._local).name

        def origin() -> Origin:
            topology = msgspec.structs.replace(
                self._topology, namespaces=dict(store.catalog.namespaces)
            )
            text = dump_topology(topology)
            return Origin(topology.cluster, name, directory.node_id, topology.epoch, text)

        checkpoints = store.checkpoints(runtime.loop.call_soon_threadsafe)
        node = SnapshotNode(directory.path, origin, checkpoints.make, lambda: keyring.master)
        return Snapshots(node, runtime.wall_ms)

    def _syncers(self, runtime: LoopRuntime) -> Syncers:
        """Syncers that wait for the disk or not, as the namespaces ask for it at the time."""
        call_soon, call_threadsafe = runtime.call_soon, runtime.loop.call_soon_threadsafe
        # The engine syncs seldom, and much at once.
        return Syncers(
            SwitchedSyncer(lambda: AdaptiveSyncer(runtime, call_threadsafe), call_soon, waits=True),
            SwitchedSyncer(lambda: ThreadSyncer(runtime, call_threadsafe), call_soon, waits=True),
        )

    def _failed_with(self) -> StorageError | None:
        failure = self._failure
        return failure.result() if failure is not None and failure.done() else None

    def _on_store_failed(self, error: StorageError) -> None:
        if self._failure is not None and not self._failure.done():
            self._failure.set_result(error)

    def _on_outrun(self, directory: DataDirectory, event: Event) -> None:
        """Other nodes have a write of this actor that it does not know: it needs a new identity."""
        why = f"other nodes know its write {event.counter}, and it does not"
        directory.forget(why)
        self._on_store_failed(
            StorageError(
                f"The data directory {directory.path} is an older copy of this node's: {why}. "
                "Start the node again: it takes a new identity for its writes, and answers no "
                "reads until it has compared its data with the other nodes'."
            )
        )

    def _close(self, store: LocalStore, replicator: Replicator) -> None:
        replicator.stop()
        if replicator.outrun:
            store.release()
        else:
            store.close(replicator.counter)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
