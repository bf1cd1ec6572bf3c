"""The replicator: a node's replication, put together on its ports.

It is what the real node and the simulator both build. Requests come in through `submit`,
messages through `on_message`; all of it runs on one thread, one callback at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from kvorum.cluster.clocks import Clocks
from kvorum.cluster.membership import DEFAULTS, Membership, MemberView
from kvorum.cluster.settings import MembershipSettings
from kvorum.model.errors import KvorumError, UnknownWrite
from kvorum.model.placement import Placement
from kvorum.model.record import Event
from kvorum.model.request import Failure, Listing, Request, Result
from kvorum.model.topology import Topology
from kvorum.net.transport import Transport
from kvorum.replication.anti_entropy import AntiEntropy
from kvorum.replication.change import SIBLING_BOUNDS, SiblingBounds
from kvorum.replication.collection import Collection
from kvorum.replication.coordinator import Coordinator
from kvorum.replication.forward import ForwardReply
from kvorum.replication.hints import Hints
from kvorum.replication.ingest import Ingest
from kvorum.replication.locate import Held, LocateOperation
from kvorum.replication.pace import Pace
from kvorum.replication.recovery import Recovery
from kvorum.replication.repair import Repairs
from kvorum.replication.replica import Replica
from kvorum.replication.scan import ScanOperation
from kvorum.replication.shortfall import on_survey
from kvorum.replication.site import NOTHING_SHREDDED, Place, Site
from kvorum.replication.sweep import Sweep
from kvorum.replication.upkeep import DEFAULTS as UPKEEP
from kvorum.replication.upkeep import Upkeep
from kvorum.replication.waiting import waiting
from kvorum.replication.walk import Walk
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import Done, Store
from kvorum.wire.messages import (
    Coming,
    Fetch,
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
    Survey,
    Vouch,
    Write,
    Wrote,
)

_RECOUNT_AFTER_S: Final = 2.0


def _unheard(_said: object) -> None:
    """Nobody wants to know."""


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
        on_outrun: Callable[[Event], object] = _unheard,
        membership: MembershipSettings = DEFAULTS,
        upkeep: Upkeep = UPKEEP,
        shredded_since: Mapping[bytes, int] = NOTHING_SHREDDED,
        tell: Callable[[str], object] = _unheard,
        siblings: SiblingBounds = SIBLING_BOUNDS,
    ) -> None:
        """`crashed`: the last life did not end well. `on_outrun`: others know a write of this node
        that it has not made, so it runs on an older copy of its data. `shredded_since`: by
        namespace the moment (ms) up to which its records were shredded; looked at with each write.
        `tell` is given what people should know, a sentence at a time and once. `siblings`: how many
        a write that is coordinated here may leave.
        """
        self._membership = Membership(
            topology.numbers, local, runtime, transport, self._on_availability, membership
        )
        self._site = Site(
            topology,
            placement,
            local,
            actor,
            counter,
            runtime,
            store,
            transport,
            self._membership.clocks,
            shredded_since,
            on_outrun,
        )
        self._site.tell = tell
        self._disowning: set[int] = set()
        self._hints = Hints(self._site, crashed)
        self._recovery = Recovery(self._site, self._announce_all)
        self._replica = Replica(self._site, self._hints)
        self._coordinator = Coordinator(self._site, self._hints, siblings)
        self._anti_entropy = AntiEntropy(
            self._site, self._replica, self._on_compared, upkeep.interval_s
        )
        self._collection = Collection(
            self._site, self._replica, self._hints, self._anti_entropy.rounds, upkeep.grace_s
        )
        self._sweep = Sweep(self._site, self._replica, upkeep.sweep_s)
        self._walk = Walk(self._site, self._replica, self._on_records)
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
            Fetch: self._replica.on_fetch,
            Survey: partial(on_survey, self._site),
            Scan: self._replica.on_scan,
            Forward: self._on_forward,
            Standing: self._on_standing,
            Vouch: self._on_vouch,
            Wrote: self._on_wrote,
            Same: self._on_same,
            Have: self._on_have,
            Coming: self._on_coming,
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
        self._recovery.stop()
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
    def outrun(self) -> bool:
        """True if others know writes of this node that it has not made: it makes none any more."""
        return self._site.outrun

    @property
    def recovering(self) -> bool:
        return self._site.recovering

    @property
    def forgot(self) -> bool:
        """True if this node lost writes it had acknowledged, and has not got them back."""
        return self._recovery.forgot

    def waiting(self) -> dict[str, Any]:
        """What this node does not answer for, and whom it waits for: see `waiting.py`."""
        return waiting(self._site, self._recovery)

    def members(self) -> list[MemberView]:
        """How this node sees the others."""
        return self._membership.view()

    @property
    def suspects(self) -> set[int]:
        """The nodes that this one takes to be down."""
        return self._site.suspects

    @property
    def clocks(self) -> Clocks:
        """How this node's wall clock stands to the others'."""
        return self._membership.clocks

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
        self._site.actors[node] = message.actor

    def _on_vouch(self, node: int, message: Vouch) -> None:
        """Has this node made these writes, which a record from outside lists?"""
        event = self._site.never_made(message.context)
        if event is None:
            reply: Message = Wrote(message.op)
        else:
            reply = Refused(message.op, UnknownWrite.code, f"write {event.counter}")
        self._site.transport.send(node, reply)

    def _on_compared(self, node: int, began: float) -> None:
        self._hints.on_compared(node, began)
        self._recovery.on_compared(node, began)

    def _announce_all(self) -> None:
        for node in self._site.topology.numbers:
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

    def _on_coming(self, node: int, message: Coming) -> None:
        take = getattr(self._site.operations.get(message.op), "on_coming", _stray)
        take(node, message.size)

    def _on_page(self, node: int, message: Page) -> None:
        take = getattr(self._site.operations.get(message.op), "on_page", _stray)
        take(node, message)

    def _on_disowned(self, node: int) -> None:
        self._site.counters.disowned_writes += 1
        if node not in self._disowning:
            self._disowning.add(node)
            name = self._site.topology.node(node).name
            self._site.tell(
                f"Node {name} does not know writes that are said to be its own: it runs on an "
                "older copy of its data, or a record was forged. Restart it."
            )

    def _on_refused(self, node: int, message: Refused) -> None:
        if message.code == UnknownWrite.code:
            self._on_disowned(node)
        take = getattr(self._site.operations.get(message.op), "on_refused", _stray)
        take(node, message.code)

    def _on_forwarded(self, node: int, message: Forwarded) -> None:
        take = getattr(self._site.operations.get(message.op), "on_forwarded", _stray)
        take(message.result)


def _stray(*_reply: object) -> None:
    """Nobody waits for this reply."""
