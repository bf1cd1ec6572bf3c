"""The documents of a node about itself: its status, its ring, and where a key lives.

They are read off the running node when somebody asks. Only the ring is kept: clients ask for
it again and again, and it is the same until a namespace is made or dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from kvorum import __version__
from kvorum.cluster.membership import MemberView
from kvorum.cluster.view import ClusterView, Place
from kvorum.documents.location import Location, Replica, ReplicaState
from kvorum.documents.resources import Resources
from kvorum.documents.ring import Ring
from kvorum.documents.status import (
    AcceptedClock,
    CacheStatus,
    ClockStatus,
    Connections,
    NamespaceCounts,
    NodeStatus,
    Status,
)
from kvorum.documents.storage import Storage
from kvorum.links.transport import Transport
from kvorum.model.catalog import Catalog
from kvorum.model.entry_counts import EntryCounts
from kvorum.model.record import Context, Record, dominates, join
from kvorum.replication.entry_shares import namespace_counts
from kvorum.replication.locate import Held
from kvorum.replication.replicator import Replicator
from kvorum.replication.ring_document import ring_document
from kvorum.runtime.ports import Runtime


class Cached(Protocol):
    """What a bounded cache counts of one namespace."""

    @property
    def entries(self) -> int: ...

    @property
    def bytes(self) -> int: ...

    @property
    def hits(self) -> int: ...

    @property
    def misses(self) -> int: ...

    @property
    def evicted(self) -> int: ...


class Overview:
    """Makes the documents of a running node about itself: status, ring and locations of keys."""

    __slots__ = (
        "_actor_name",
        "_began",
        "_caches",
        "_connections",
        "_replicator",
        "_resources",
        "_ring",
        "_runtime",
        "_storage",
        "_transport",
        "_view",
        "_volatile_counts",
    )

    def __init__(
        self,
        view: ClusterView,
        replicator: Replicator,
        transport: Transport,
        runtime: Runtime,
        actor_name: Callable[[int], str],
        *,
        caches: Callable[[], Mapping[str, Cached]],
        storage: Callable[[], Storage],
        resources: Callable[[], Resources],
        connections: Callable[[], Connections],
        volatile_counts: Callable[[], Mapping[str, EntryCounts]],
    ) -> None:
        """`actor_name` is the name of an actor, for people. `caches`: what is in memory of each
        namespace. `storage`: how sound the stored records are. `resources`: what the node uses.
        `volatile_counts`: of the entries of each namespace that is kept in memory only.
        """
        self._volatile_counts = volatile_counts
        self._connections = connections
        self._storage = storage
        self._resources = resources
        self._view = view
        self._replicator = replicator
        self._transport = transport
        self._runtime = runtime
        self._began = runtime.now()
        self._actor_name = actor_name
        self._caches = caches
        self._ring: Ring | None = None
        view.subscribe(self._forget_ring)

    def status(self) -> Status:
        """The cluster as this node sees it, and how this node fares."""
        view, replicator = self._view, self._replicator
        topology = view.topology
        nodes = self._nodes()
        return Status(
            cluster=topology.cluster,
            epoch=topology.epoch,
            node=view.local_name,
            version=__version__,
            uptime_s=round(self._runtime.now() - self._began, 3),
            clock=self._own_clock(),
            nodes=nodes,
            namespaces=dict(view.catalog.namespaces),
            counts=self._counts({topology.number_of(node.name) for node in nodes if node.up}),
            counting=replicator.counting,
            caches={name: _cache(cached) for name, cached in self._caches().items()},
            storage=self._storage(),
            resources=self._resources(),
            connections=self._connections(),
            recovering=replicator.recovering,
            forgot=replicator.forgot,
            waiting=replicator.waiting(),
            operations=replicator.under_way,
            anti_entropy=replicator.anti_entropy(),
            counters=replicator.counters(),
            membership=replicator.membership_counters(),
        )

    def accept_clock(self) -> AcceptedClock:
        """Have this node take its clock for right as it is; returns what it makes of it then."""
        self._replicator.clocks.accept()
        return AcceptedClock(node=self._view.local_name, clock=self._own_clock())

    def _counts(self, up: set[int]) -> dict[str, NamespaceCounts]:
        held = {**self._replicator.entry_counts(), **self._volatile_counts()}
        return namespace_counts(self._view, held, up)

    def _own_clock(self) -> ClockStatus:
        clocks = self._replicator.clocks
        wall_ms = self._runtime.wall_ms()
        return ClockStatus(now_ms=wall_ms, state=clocks.state, off_ms=clocks.now_ms() - wall_ms)

    def _nodes(self) -> list[NodeStatus]:
        ahead_ms = {self._view.local: 0, **self._replicator.clocks.ahead_ms()}
        return [
            self._node(member, ahead_ms.get(member.node)) for member in self._replicator.members()
        ]

    def _node(self, member: MemberView, ahead_ms: int | None) -> NodeStatus:
        node, spec_of = member.node, self._view.topology.node
        linked = self._is_up(node)
        return NodeStatus(
            **msgspec.structs.asdict(spec_of(node)),
            up=linked and member.state == "up",
            linked=linked,
            state=member.state,
            since_ms=member.since_ms,
            phi=round(member.phi, 2),
            last_active_ms=member.last_active_ms,
            dissenters=self._view.names(member.dissenters),
            is_self=node == self._view.local,
            hints_owed=self._replicator.hints_owed(node),
            hints=self._replicator.hints(node),
            clock_ahead_ms=ahead_ms,
        )

    def _is_up(self, node: int) -> bool:
        return node == self._view.local or self._transport.is_up(node)

    def ring(self) -> Ring:
        """How the partitions are shared; see `ring_document.py`."""
        if self._ring is None:
            self._ring = ring_document(self._view)
        return self._ring

    def _forget_ring(self, _old: Catalog, _new: Catalog) -> None:
        self._ring = None

    def locate(self, namespace: str, key: str, reply: Callable[[Location], object]) -> None:
        """Call `reply` with where `key` lives and who holds which version.

        Raises NamespaceNotFound or InvalidKey.
        """

        def on_held(place: Place, held: Held) -> None:
            reply(self._located(namespace, key, place, held))

        self._replicator.locate(namespace, key, on_held)

    def _located(self, namespace: str, key: str, place: Place, held: Held) -> Location:
        newest = join(record.context for record in held.values() if record is not None)
        return Location(
            key=key,
            namespace=namespace,
            token=place.token.hex(),
            partition=self._view.placement.partition(place.token),
            replicas=[self._replica(node, held[node], newest) for node in place.replicas.natural],
        )

    def _replica(self, node: int, record: Record | None, newest: Context) -> Replica:
        clock = None
        if record is not None:
            clock = [(self._actor_name(e.actor), e.counter, e.timestamp) for e in record.context]
        return Replica(
            node=self._view.name(node),
            up=self._is_up(node),
            state=_state(record, newest),
            clock=clock,
        )


def _cache(cached: Cached) -> CacheStatus:
    reads = cached.hits + cached.misses
    return CacheStatus(
        entries=cached.entries,
        bytes=cached.bytes,
        hits=cached.hits,
        misses=cached.misses,
        hit_ratio=round(cached.hits / reads, 4) if reads else None,
        evicted=cached.evicted,
    )


def _state(record: Record | None, newest: Context) -> ReplicaState:
    if record is None:
        return "unreachable"
    if not record.context:
        return "absent"
    return "current" if dominates(record.context, newest) else "stale"
