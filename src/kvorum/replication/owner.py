"""The owner: the part of a node that owns data, beside what any node does for its clients.

It coordinates changes, serves the coordinators of other nodes, keeps hints for others, and
maintains its copy. A node without a replica has no such part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kvorum.cluster.view import ClusterView
from kvorum.handoff.hints import Hints
from kvorum.model.errors import UnknownWrite
from kvorum.operations.operations import Operations
from kvorum.repair.maintenance import Maintenance
from kvorum.repair.upkeep import Upkeep
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.change import SiblingBounds
from kvorum.replication.coordination import Coordination
from kvorum.replication.ingest import Ingest
from kvorum.replication.replica_server import ReplicaServer
from kvorum.wire.messages import (
    Fetch,
    Handoff,
    Message,
    Read,
    Refused,
    Scan,
    SyncState,
    Vouch,
    Write,
    Wrote,
)


class Owner:
    """All that a node does as one that has a replica."""

    __slots__ = (
        "_operations",
        "coordination",
        "handlers",
        "hints",
        "ingest",
        "maintenance",
        "replica",
    )

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        upkeep: Upkeep,
        siblings: SiblingBounds,
        tell: Callable[[str], object],
        *,
        crashed: bool,
    ) -> None:
        """`crashed`: the last life did not end well. `tell` is given what people should know."""
        self._operations = operations
        self.replica = replica
        self.hints = Hints(view, replica, operations, crashed)
        self.maintenance = Maintenance(view, replica, operations, self.hints, upkeep, tell)
        self.coordination = Coordination(view, replica, operations, self.hints, siblings)
        self.ingest = Ingest(view, replica, operations, self.hints)
        server = ReplicaServer(view, replica, operations, self.hints)
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            Write: server.on_write,
            Handoff: server.on_handoff,
            Read: server.on_read,
            Fetch: server.on_fetch,
            Scan: server.on_scan,
            SyncState: self._on_sync_state,
            Vouch: self._on_vouch,
            **self.maintenance.handlers,
        }
        """By type of message; each takes the sender and the message."""

    def stop(self) -> None:
        """Do nothing more in the background."""
        self.hints.stop()
        self.maintenance.stop()

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open."""
        self.hints.on_peer_up(node)
        self.maintenance.anti_entropy.on_peer_up(node)

    def on_peer_lost(self, node: int) -> None:
        """No link to `node` is left."""
        self.hints.on_peer_lost(node)
        self.coordination.on_peer_lost(node)

    def on_available(self, node: int) -> None:
        """`node` is no suspect any more."""
        self.hints.announce(node)
        self.maintenance.anti_entropy.on_peer_up(node)

    def _on_sync_state(self, node: int, message: SyncState) -> None:
        self.coordination.on_sync_state(node, message.behind)
        self.hints.on_sync_state(node, message.recovering)
        self.maintenance.recovery.on_sync_state(node, message.lost)
        self.ingest.on_sync_state(node, message.actor)

    def _on_vouch(self, node: int, message: Vouch) -> None:
        """Answer whether this node has made the writes that a record from outside lists."""
        event = self.replica.authorship.never_made(message.context)
        if event is None:
            reply: Message = Wrote(message.op)
        else:
            reply = Refused(message.op, UnknownWrite.code, f"write {event.counter}")
        self._operations.transport.send(node, reply)
