"""What a node can tell people about itself: its cluster, its ring, and where a key lives.

It is read off the running node when somebody asks. Only the ring is kept: clients ask for it
again and again, and it is the same until a namespace is made or dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from kvorum import __version__
from kvorum.cluster.membership import MemberView
from kvorum.cluster.view import ClusterView, Place
from kvorum.links.transport import Transport
from kvorum.model.catalog import Catalog
from kvorum.model.record import Context, Record, dominates, join
from kvorum.replication.locate import Held
from kvorum.replication.replicator import Replicator
from kvorum.replication.ring_document import ring_document
from kvorum.runtime.ports import Runtime


class Cached(Protocol):
    """What a bounded cache tells of itself, of one namespace."""

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
    def __init__(
        self,
        view: ClusterView,
        replicator: Replicator,
        transport: Transport,
        runtime: Runtime,
        actor_name: Callable[[int], str],
        *,
        caches: Callable[[], Mapping[str, Cached]],
        storage: Callable[[], Mapping[str, Any]],
        connections: Callable[[], Mapping[str, int]],
    ) -> None:
        """`caches`: what is in memory of each namespace. `storage`: how sound what is stored is.
        `connections`: how many clients have, and may have.
        """
        self._connections = connections
        self._storage = storage
        self._view = view
        self._replicator = replicator
        self._transport = transport
        self._runtime = runtime
        self._began = runtime.now()
        self._actor_name = actor_name
        self._caches = caches
        self._ring: dict[str, Any] | None = None
        view.subscribe(self._forget_ring)

    def status(self) -> dict[str, Any]:
        view = self._view
        topology = view.topology
        return {
            "cluster": topology.cluster,
            "epoch": topology.epoch,
            "node": view.local_name,
            "version": __version__,
            "uptime_s": round(self._runtime.now() - self._began, 3),
            "clock": self._own_clock(),
            "nodes": self._nodes(),
            "namespaces": {
                name: msgspec.structs.asdict(settings)
                for name, settings in view.catalog.namespaces.items()
            },
            "caches": {name: _cache(cached) for name, cached in self._caches().items()},
            "storage": self._storage(),
            "connections": self._connections(),
            "recovering": self._replicator.recovering,
            "forgot": self._replicator.forgot,
            "waiting": self._replicator.waiting(),
            "operations": self._replicator.under_way,
            "anti_entropy": self._replicator.anti_entropy(),
            "counters": self._replicator.counters(),
            "membership": self._replicator.membership_counters(),
        }

    def accept_clock(self) -> dict[str, Any]:
        """Have this node take its clock for right as it is."""
        self._replicator.clocks.accept()
        return {"node": self._view.local_name, "clock": self._own_clock()}

    def _own_clock(self) -> dict[str, Any]:
        """`off_ms`: by how much lifetimes are judged later than by this node's clock."""
        clocks = self._replicator.clocks
        wall_ms = self._runtime.wall_ms()
        return {"now_ms": wall_ms, "state": clocks.state, "off_ms": clocks.now_ms() - wall_ms}

    def _nodes(self) -> list[dict[str, Any]]:
        ahead_ms = {self._view.local: 0, **self._replicator.clocks.ahead_ms()}
        return [
            {**self._node(member), "clock_ahead_ms": ahead_ms.get(member.node)}
            for member in self._replicator.members()
        ]

    def _node(self, member: MemberView) -> dict[str, Any]:
        node, spec_of = member.node, self._view.topology.node
        linked = self._is_up(node)
        return {
            **msgspec.structs.asdict(spec_of(node)),
            "up": linked and member.state == "up",
            "linked": linked,
            "state": member.state,
            "since_ms": member.since_ms,
            "phi": round(member.phi, 2),
            "last_active_ms": member.last_active_ms,
            "dissenters": self._view.names(member.dissenters),
            "self": node == self._view.local,
            "hints_owed": self._replicator.hints_owed(node),
            "hints": self._replicator.hints(node),
        }

    def _is_up(self, node: int) -> bool:
        return node == self._view.local or self._transport.is_up(node)

    def ring(self) -> dict[str, Any]:
        """See `ring_document.py`."""
        if self._ring is None:
            self._ring = ring_document(self._view)
        return self._ring

    def _forget_ring(self, _old: Catalog, _new: Catalog) -> None:
        self._ring = None

    def locate(self, namespace: str, key: str, reply: Callable[[dict[str, Any]], object]) -> None:
        """Where `key` lives and who holds which version; raises what its name deserves."""

        def on_held(place: Place, held: Held) -> None:
            reply(self._located(namespace, key, place, held))

        self._replicator.locate(namespace, key, on_held)

    def _located(self, namespace: str, key: str, place: Place, held: Held) -> dict[str, Any]:
        newest = join(record.context for record in held.values() if record is not None)
        return {
            "key": key,
            "namespace": namespace,
            "token": place.token.hex(),
            "partition": self._view.placement.partition(place.token),
            "replicas": [
                {
                    "node": self._view.name(node),
                    "up": self._is_up(node),
                    "state": _state(held[node], newest),
                    "clock": self._clock(held[node]),
                }
                for node in place.replicas.natural
            ],
        }

    def _clock(self, record: Record | None) -> list[list[Any]] | None:
        if record is None:
            return None
        return [[self._actor_name(e.actor), e.counter, e.timestamp] for e in record.context]


def _cache(cached: Cached) -> dict[str, Any]:
    reads = cached.hits + cached.misses
    return {
        "entries": cached.entries,
        "bytes": cached.bytes,
        "hits": cached.hits,
        "misses": cached.misses,
        "hit_ratio": round(cached.hits / reads, 4) if reads else None,
        "evicted": cached.evicted,
    }


def _state(record: Record | None, newest: Context) -> str:
    if record is None:
        return "unreachable"
    if not record.context:
        return "absent"
    return "current" if dominates(record.context, newest) else "stale"
