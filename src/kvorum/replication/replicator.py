"""The replicator: a node's replication, put together on its ports.

It is what the real node and the simulator both build. Requests come in through `submit`,
messages through `on_message`; all of it runs on one thread, one callback at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from kvorum.cluster.membership import DEFAULTS, Membership, MemberView
from kvorum.cluster.settings import MembershipSettings
from kvorum.model.errors import KvorumError
from kvorum.model.placement import Placement
from kvorum.model.request import Failure, Listing, Request, Result
from kvorum.model.topology import Topology
from kvorum.net.transport import Transport
from kvorum.replication.anti_entropy import AntiEntropy
from kvorum.replication.collection import Collection
from kvorum.replication.coordinator import RECORD_BYTES_MAX, Coordinator
from kvorum.replication.forward import ForwardReply
from kvorum.replication.hints import Hints
from kvorum.replication.ingest import Ingest
from kvorum.replication.locate import Held, LocateOperation
from kvorum.replication.pace import Pace
from kvorum.replication.recovery import Recovery
from kvorum.replication.repair import Repairs
from kvorum.replication.replica import Replica
from kvorum.replication.scan import ScanOperation
from kvorum.replication.site import Place, Site
from kvorum.replication.sweep import Sweep
from kvorum.replication.upkeep import DEFAULTS as UPKEEP
from kvorum.replication.upkeep import Upkeep
from kvorum.replication.walk import Walk
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import Done, Store
from kvorum.wire.messages import (
    Forward,
    Forwarded,
    Handoff,
    Have,
    Message,
    Page,
    Read,
    Refused,
    Same,
    Scan,
    Standing,
    Write,
    Wrote,
)

_RECOUNT_AFTER_S: Final = 2.0


class Replicator:
    def __init__(
        self,
        topology: Topology,
        placement: Placement,
        local: int,
        actor: int,
        counter: int,
        runtime: Runtime,
        store: Store,
        transport: Transport,
        *,
        crashed: bool = False,
        membership: MembershipSettings = DEFAULTS,
        upkeep: Upkeep = UPKEEP,
        record_bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        self._site = Site(topology, placement, local, actor, counter, runtime, store, transport)
        self._hints = Hints(self._site, crashed)
        self._recovery = Recovery(self._site, self._announce_all)
        self._replica = Replica(self._site, self._hints)
        self._coordinator = Coordinator(self._site, self._hints, record_bytes_max)
        self._anti_entropy = AntiEntropy(
            self._site, self._replica, self._on_compared, upkeep.interval_s
        )
        self._collection = Collection(
            self._site, self._replica, self._hints, self._anti_entropy.rounds, upkeep.grace_s
        )
        self._sweep = Sweep(self._site, self._replica, upkeep.sweep_s)
        self._walk = Walk(self._site, self._replica, self._on_records)
        self._membership = Membership(
            len(topology.nodes), local, runtime, transport, self._on_availability, membership
        )
        self._recount_due = False
        self._stopped = False
        self.repairs = Repairs(self._site, self._anti_entropy)
        self.submit: Callable[[Request, Callable[[Result], object]], None] = (
            self._coordinator.submit
        )
        self.ingest = Ingest(self._site, self._hints).submit
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            Write: self._replica.on_write,
            Handoff: self._replica.on_handoff,
            Read: self._replica.on_read,
            Scan: self._replica.on_scan,
            Forward: self._on_forward,
            Standing: self._on_standing,
            Wrote: self._on_wrote,
            Same: self._on_same,
            Have: self._on_have,
            Page: self._on_page,
            Refused: self._on_refused,
            Forwarded: self._on_forwarded,
            **self._membership.handlers,
            **self._anti_entropy.handlers,
            **self.repairs.handlers,
            **self._collection.handlers,
        }

    def start(self) -> None:
        """Greet every peer, so that links open and each side learns its standing."""
        self._announce_all()
        if len(self._site.topology.nodes) > 1:
            self._membership.start()
        self._walk.start()
        self._anti_entropy.start()
        self._collection.start()
        self._sweep.start()
        self.repairs.start()

    def stop(self) -> None:
        """Let go of everything under way, so that the store can be closed."""
        self._stopped = True
        self._membership.stop()
        self._hints.stop()
        self._walk.stop()
        self._anti_entropy.stop()
        self._collection.stop()
        self._sweep.stop()
        self.repairs.stop()
        self._site.operations.clear()
        self._site.deadlines.clear()
        self._site.speculation.clear()

    # For clients

    def scan(
        self,
        namespace: str,
        after: bytes,
        limit: int,
        reply: Callable[[Listing | Failure], object],
    ) -> None:
        """A page of live entries of `namespace` after the cursor `after`."""
        try:
            ScanOperation(self._site, self._replica, namespace, reply).start(after, limit)
        except KvorumError as error:
            self._site.runtime.call_soon(reply, Failure.of(error))

    def locate(self, namespace: str, key: str, reply: Callable[[Place, Held], object]) -> None:
        """What each owner of `key` holds. Raises NamespaceNotFound or InvalidKey."""
        place = self._site.place(namespace, key)
        LocateOperation(self._site, place, reply).start(place.settings.timeout_ms)

    @property
    def counter(self) -> int:
        """The last counter this node used."""
        return self._site.counter

    @property
    def recovering(self) -> bool:
        return self._site.recovering

    @property
    def forgot(self) -> bool:
        """True if this node lost writes it had acknowledged, and has not got them back."""
        return self._recovery.forgot

    def members(self) -> list[MemberView]:
        """How this node sees the others."""
        return self._membership.view()

    @property
    def suspects(self) -> set[int]:
        """The nodes that this one takes to be down."""
        return self._site.suspects

    def membership_counters(self) -> dict[str, int]:
        return msgspec.structs.asdict(self._membership.counters)

    @property
    def under_way(self) -> int:
        return len(self._site.operations)

    def counters(self) -> dict[str, int]:
        return self._site.counters.as_dict()

    def anti_entropy(self) -> dict[str, Any]:
        """How long ago, and with what result, partitions were compared."""
        return self._anti_entropy.status()

    def hints_owed(self, node: int) -> int:
        return self._hints.owed(node)

    def hints(self, node: int) -> dict[str, Any]:
        """What is owed to `node`, since when, and how fast it goes there."""
        return self._hints.status(node)

    @property
    def pace(self) -> Pace:
        """Of background work."""
        return self._site.pace

    # When the store is not what it was

    def on_damaged(self, stored_key: bytes) -> None:
        """What is at `stored_key` does not open; of its key only what is visible is sure."""
        if stored_key[:1] == b"h":
            self._hints.on_damaged(stored_key)
        else:
            self.repairs.around(stored_key)

    def recount_soon(self) -> None:
        """Records cannot be read that the trees hold; there may be more to come."""
        if not self._recount_due:
            self._recount_due = True
            self._site.runtime.call_later(_RECOUNT_AFTER_S, self.recount)

    def recount(self) -> None:
        """Count all records again: many are gone that the trees still hold."""
        self._recount_due = False
        if self._stopped:
            return
        self._walk.stop()
        self._site.trees.clear()
        self._walk = Walk(self._site, self._replica, self._on_records)
        self._walk.start()

    # From the network

    def on_message(self, node: int, message: Message) -> None:
        self._handlers[type(message)](node, message)

    def on_peer_up(self, node: int) -> None:
        self._membership.heard(node)
        self._hints.on_peer_up(node)
        self._anti_entropy.on_peer_up(node)

    def on_peer_replaced(self, node: int, done: Done, arg: Any) -> None:
        """Another node has come under the name of `node`; `done` once that is noted for good."""
        self._hints.mark_lost(node, done, arg)

    def on_peer_lost(self, node: int) -> None:
        self._hints.on_peer_lost(node)
        self._coordinator.on_peer_lost(node)
        self._abandon(node)

    def _on_availability(self, node: int) -> None:
        """Membership thinks otherwise of `node` than before."""
        if self._membership.is_available(node):
            self._site.suspects.discard(node)
            self._hints.announce(node)
            self._anti_entropy.on_peer_up(node)
        else:
            self._site.suspects.add(node)
            self._abandon(node)

    def _abandon(self, node: int) -> None:
        """Nothing under way waits for `node` any longer."""
        for operation in list(self._site.operations.values()):
            operation.on_peer_lost(node)

    def _on_records(self, records: list[tuple[bytes, bytes]], upto: bytes) -> None:
        """Records that the walk at start has come across."""
        self._site.trees.count(records, upto)
        self._collection.meet(records, upto)
        self._sweep.learn(records, upto)

    def _on_forward(self, node: int, message: Forward) -> None:
        reply = ForwardReply(self._site, node, message.op)
        self._coordinator.coordinate(message.request, reply.send)

    def _on_standing(self, node: int, message: Standing) -> None:
        self._coordinator.on_standing(node, message.behind)
        self._hints.on_standing(node, message.recovering)
        self._recovery.on_standing(node, message.lost)

    def _on_compared(self, node: int, began: float) -> None:
        self._hints.on_compared(node, began)
        self._recovery.on_compared(node, began)

    def _announce_all(self) -> None:
        for node in range(len(self._site.topology.nodes)):
            if node != self._site.local:
                self._hints.announce(node)

    # Replies find their operation by number. One that has ended is no longer filed, and a late or
    # repeated reply to it means nothing; nor does one of a kind that the operation never asked for.

    def _on_wrote(self, node: int, message: Wrote) -> None:
        take = getattr(self._site.operations.get(message.op), "on_wrote", _stray)
        take(node)

    def _on_same(self, node: int, message: Same) -> None:
        take = getattr(self._site.operations.get(message.op), "on_same", _stray)
        take(node)

    def _on_have(self, node: int, message: Have) -> None:
        take = getattr(self._site.operations.get(message.op), "on_have", _stray)
        take(node, message.record)

    def _on_page(self, node: int, message: Page) -> None:
        take = getattr(self._site.operations.get(message.op), "on_page", _stray)
        take(node, message)

    def _on_refused(self, node: int, message: Refused) -> None:
        take = getattr(self._site.operations.get(message.op), "on_refused", _stray)
        take(node, message.code)

    def _on_forwarded(self, node: int, message: Forwarded) -> None:
        take = getattr(self._site.operations.get(message.op), "on_forwarded", _stray)
        take(message.result)


def _stray(*_reply: object) -> None:
    """Nobody waits for this reply."""
