"""The replicator: all of a node's replication, put together on its ports.

The real node and the simulator both build it. Requests come in through `submit`, messages through
`on_message`; all of it runs on one thread, one callback at a time.

    with a local replica      coordinates changes, serves other nodes, keeps its copy complete
    without one               sends changes to the owners, and reads from them
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from kvorum.cluster.clocks import Clocks
from kvorum.cluster.membership import DEFAULTS, Membership, MemberView
from kvorum.cluster.settings import MembershipSettings
from kvorum.cluster.view import ClusterView, Place
from kvorum.documents.status import AntiEntropyStatus, HintStatus, Waiting
from kvorum.links.transport import Transport
from kvorum.model.entry_counts import EntryCounts
from kvorum.model.errors import ConfigError, KvorumError, NodeStopping, UnknownWrite
from kvorum.model.record import Event, Record
from kvorum.model.request import Failure, Listing, Request, Result, Selection
from kvorum.operations.operations import Operations
from kvorum.operations.pace import Pace
from kvorum.repair.repair import Repairs
from kvorum.repair.upkeep import DEFAULTS as UPKEEP
from kvorum.repair.upkeep import Upkeep
from kvorum.replica.authorship import Authorship
from kvorum.replica.local_replica import NOTHING_SHREDDED, LocalReplica
from kvorum.replication.change import SIBLING_BOUNDS, SiblingBounds
from kvorum.replication.coordinator import Coordinator
from kvorum.replication.departure import Departure
from kvorum.replication.forward import ForwardReply
from kvorum.replication.locate import Held, Locating
from kvorum.replication.owner import Owner
from kvorum.replication.scan import ScanOperation
from kvorum.replication.shared_security import InMemory, KeptSecurity, SharedSecurity
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import Done, Store
from kvorum.wire.messages import (
    Behind,
    Forward,
    Leaving,
    Message,
    Refused,
    Reply,
)
from kvorum.wire.security_messages import SecurityDigest, SecurityEntries

_BEHIND: Final = "behind"


def _unheard(_said: object) -> None:
    """Does nothing with what it is told."""


class Incarnation(msgspec.Struct, frozen=True):
    """One life of a node that has a replica: what it brings along from its data directory.

    `actor`, `counter`: under which it writes, and the last dot that it gave. `crashed`: the last
    life did not end well. `shredded_since`: by namespace the moment (ms) up to which its records
    were shredded; looked at with each write.
    """

    actor: int
    counter: int
    crashed: bool = False
    shredded_since: Mapping[bytes, int] = NOTHING_SHREDDED


class Replicator:
    """One node's part in the cluster."""

    def __init__(
        self,
        view: ClusterView,
        runtime: Runtime,
        transport: Transport,
        store: Store | None = None,
        incarnation: Incarnation | None = None,
        *,
        on_outrun: Callable[[Event], object] = _unheard,
        membership: MembershipSettings = DEFAULTS,
        upkeep: Upkeep = UPKEEP,
        tell: Callable[[str], object] = _unheard,
        siblings: SiblingBounds = SIBLING_BOUNDS,
        security: KeptSecurity | None = None,
    ) -> None:
        """`store`, `incarnation`: of a node that has a replica; None for one that has none.

        `on_outrun`: others know a write of this node that it has not made, so it runs on an older
        copy of its data. `tell` is given what people should know, a sentence at a time and once.
        `siblings`: how many a write that is coordinated here may leave. `security`: where the
        security catalog is kept; None to keep it in memory.
        """
        self._view = view
        self._membership = Membership(
            sorted({*view.topology.numbers, view.local}),
            view.local,
            runtime,
            transport,
            self._on_availability,
            membership,
        )
        self._operations = Operations(view.local, runtime, transport, self._membership.clocks)
        self._departure = Departure(self._operations, view.local)
        kept = security or InMemory(runtime.call_soon)
        self.security = SharedSecurity(view, self._operations, kept, tell)
        self._tell = tell
        self._disowning: set[int] = set()
        self._owner: Owner | None = None
        if store is not None and incarnation is not None:
            authorship = Authorship(incarnation.actor, incarnation.counter, on_outrun)
            replica = LocalReplica(
                view,
                authorship,
                runtime,
                store,
                self._operations.clocks,
                self._operations.counters,
                incarnation.shredded_since,
            )
            crashed = incarnation.crashed
            self._owner = Owner(
                view, replica, self._operations, upkeep, siblings, tell, crashed=crashed
            )
        self._replica = None if self._owner is None else self._owner.replica
        coordination = None if self._owner is None else self._owner.coordination
        self._coordinator = Coordinator(view, self._replica, self._operations, coordination)
        self.submit: Callable[[Request, Callable[[Result], object]], None] = (
            self._coordinator.submit
        )
        self._handlers: dict[type, Callable[[int, Any], None]] = {
            **dict.fromkeys(Message.__args__, self._drop),
            **dict.fromkeys(Reply.__args__, self._operations.on_reply),
            Refused: self._on_refused,
            Behind: self._on_behind,
            Forward: self._on_forward,
            Leaving: self._departure.on_leaving,
            SecurityDigest: self.security.on_digest,
            SecurityEntries: self.security.on_entries,
            **self._membership.handlers,
        }
        if self._owner is not None:
            self._handlers |= self._owner.handlers

    @property
    def owner(self) -> Owner:
        """The part of this node that owns data. Raises ConfigError if it has none."""
        if self._owner is None:
            raise ConfigError(
                f"Node number {self._view.local} keeps no copy of the data; ask a node that does."
            )
        return self._owner

    def start(self) -> None:
        """Send every other node its `SyncState`, so that links open, and begin the
        background work.
        """
        if self._owner is None:
            return
        self._owner.hints.announce_all()
        if len(self._view.topology.nodes) > 1:
            self._membership.start()
            self.security.start()
        self._owner.maintenance.start()

    def leave(self) -> None:
        """Begin the departure of this node: see `departure.py`."""
        self._departure.begin(self._view.others())

    def shut_door(self) -> None:
        """Refuse what other nodes forward from now on."""
        self._handlers[Forward] = self._refuse_forward

    @property
    def left(self) -> bool:
        """True once the departure is complete: `stop` leaves no write's outcome unknown."""
        return self._departure.begun and self._departure.is_complete

    def stop(self) -> None:
        """End everything that is under way, so that the store can be closed."""
        self._membership.stop()
        self.security.stop()
        if self._owner is not None:
            self._owner.stop()
        self._operations.clear()

    # For clients

    def scan(
        self,
        selection: Selection,
        reply: Callable[[Listing | Failure], object],
    ) -> None:
        """Read a page of the live entries of `selection`; `reply` is called once."""
        try:
            operation = ScanOperation(self._view, self._replica, self._operations, selection, reply)
            operation.start()
        except KvorumError as error:
            self._operations.runtime.call_soon(reply, Failure.of(error))

    def locate(self, namespace: str, key: str, reply: Callable[[Place, Held], object]) -> None:
        """Ask each owner of `key` for its record; `reply` is called once. Raises NamespaceNotFound
        or InvalidKey.
        """
        place = self._view.place(namespace, key)
        locating = Locating(self._view, self._replica, self._operations, place, reply)
        locating.start(place.settings.timeout_ms)

    def ingest(
        self,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
    ) -> None:
        """Merge `record`, which was exported, into its owners; `w` of 0 is the namespace's.

        `reply` comes once, after this has returned.
        """
        self.owner.ingest.submit(namespace, key, record, w, reply)

    @property
    def repairs(self) -> Repairs:
        """The repairs that people have asked this node for."""
        return self.owner.maintenance.repairs

    @property
    def counter(self) -> int:
        """The last counter this node used."""
        return self.owner.replica.authorship.counter

    @property
    def outrun(self) -> bool:
        """True if others know writes of this node that it has not made: it makes none any more."""
        return self.owner.replica.authorship.outrun

    @property
    def recovering(self) -> bool:
        """True while its copies are incomplete, so that it answers no reads."""
        return self.owner.replica.recovering

    @property
    def forgot(self) -> bool:
        """True if this node lost writes it had acknowledged, and has not got them back."""
        return self.owner.maintenance.recovery.forgot

    def waiting(self) -> Waiting:
        """What this node does not answer for, and which nodes it waits for."""
        return self.owner.maintenance.waiting()

    def members(self) -> list[MemberView]:
        """All members as this node sees them."""
        return self._membership.view()

    @property
    def suspects(self) -> set[int]:
        """The nodes that this one takes to be down."""
        return self._operations.suspects

    @property
    def clocks(self) -> Clocks:
        """How this node's wall clock compares with the others'."""
        return self._membership.clocks

    def membership_counters(self) -> dict[str, int]:
        return msgspec.structs.asdict(self._membership.counters)

    @property
    def under_way(self) -> int:
        """How many operations there are."""
        return len(self._operations.table)

    def counters(self) -> dict[str, int]:
        return self._operations.counters.as_dict()

    def entry_counts(self) -> Mapping[str, EntryCounts]:
        """The entries that this node holds of each namespace that is not kept in memory only."""
        return self.owner.replica.counts.by_namespace()

    @property
    def counting(self) -> bool:
        """True while a part of the entries is being counted anew."""
        return self.owner.replica.counts.counting

    def anti_entropy(self) -> AntiEntropyStatus:
        """How long ago, and with what result, partitions were compared."""
        return self.owner.maintenance.anti_entropy.status()

    def hints_owed(self, node: int) -> int:
        """How many keys `node` is known to lack the newest record of."""
        return self.owner.hints.owed(node)

    def hints(self, node: int) -> HintStatus:
        """The hints for `node`: how many, since when, and how fast they are replayed."""
        return self.owner.hints.status(node)

    @property
    def pace(self) -> Pace:
        """Of background work."""
        return self._operations.pace

    # When records of the store are damaged or gone

    def on_damaged(self, stored_key: bytes) -> None:
        """The record or note at `stored_key` cannot be read (`Maintenance.on_damaged`)."""
        self.owner.maintenance.on_damaged(stored_key)

    def recount_soon(self) -> None:
        """Records that the hash trees count cannot be read, and more may follow."""
        self.owner.maintenance.recount_soon()

    def recount(self) -> None:
        """Build the hash trees anew: many records are gone that they still count."""
        self.owner.maintenance.recount()

    # From the network

    def on_message(self, node: int, message: Message) -> None:
        """Handle a message of another node. One that this node has no part for is dropped."""
        self._handlers[type(message)](node, message)

    def _drop(self, _node: int, _message: Message) -> None:
        """A message for nodes that have a replica came to one that has none."""

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open."""
        self._departure.on_peer_up(node)
        self.security.on_peer_up(node)
        if self._owner is not None:
            self._membership.heard(node)
        if self._membership.is_available(node):
            self._operations.suspects.discard(node)
        if self._owner is not None:
            self._owner.on_peer_up(node)

    def on_peer_replaced(self, node: int, done: Done, arg: Any) -> None:
        """Another node has come under the name of `node`; `done` once that is noted durably."""
        self.owner.hints.mark_lost(node, done, arg)

    def on_peer_lost(self, node: int) -> None:
        """No link to `node` is left."""
        self._departure.on_peer_lost(node)
        if self._owner is not None:
            self._owner.on_peer_lost(node)
        self._operations.abandon(node)

    def _on_availability(self, node: int) -> None:
        """Membership has come to another opinion of `node`."""
        if self._membership.is_available(node):
            self._operations.suspects.discard(node)
            if self._owner is not None:
                self._owner.on_available(node)
        else:
            self._operations.suspects.add(node)
            self._operations.abandon(node)

    def _on_forward(self, node: int, message: Forward) -> None:
        reply = ForwardReply(self._operations, node, message.op)
        self._coordinator.coordinate(message.request, reply.send)

    def _refuse_forward(self, node: int, message: Forward) -> None:
        error = NodeStopping(f"{self._view.local_name} is about to stop. Nothing was written.")
        ForwardReply(self._operations, node, message.op).send(Failure.of(error))

    def _on_refused(self, node: int, message: Refused) -> None:
        if message.code == UnknownWrite.code:
            self._on_disowned(node)
        self._operations.on_reply(node, message)

    def _on_behind(self, node: int, message: Behind) -> None:
        """`node` is at another epoch: for this request it is no better than one that is away."""
        self._operations.on_reply(node, Refused(message.op, _BEHIND, ""))

    def _on_disowned(self, node: int) -> None:
        self._operations.counters.disowned_writes += 1
        if node not in self._disowning:
            self._disowning.add(node)
            self._tell(
                f"Node {self._view.name(node)} does not know writes that are said to be its own: "
                "it runs on an older copy of its data, or a record was forged. Restart it."
            )
