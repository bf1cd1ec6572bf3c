"""Coordination: a change, from what this node knows of its key to the write to all owners.

A blind write replaces what its coordinator has seen. The first owner, while every other owner has
told it that it missed nothing, has seen all earlier writes; any other node (one that stands in, one
that was away, one that has nothing of a key in a namespace kept in memory, which it may have
evicted) first reads a quorum's versions. So do deletes, touches and preconditions, because they
depend on what is there (`inquiry.py`). `change.py` makes the new record.

That the first owner missed nothing is good enough to avoid siblings, and for nothing else: a write
to the others may be on its way, or have been acknowledged by others with w=1. So a blind write of
the very value that is there makes no new version only if all owners, asked after it came in, have
nothing that this node does not.

A key that is damaged on so many owners that no quorum is left can be written and deleted without a
condition once all owners have answered: then what is left is all there is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from kvorum.cluster.view import ClusterView, Place
from kvorum.handoff.hints import Hints
from kvorum.model.catalog import Catalog
from kvorum.model.errors import (
    CorruptRecord,
    KvorumError,
    NotFound,
    PreconditionFailed,
    StorageError,
)
from kvorum.model.expiry import is_given
from kvorum.model.leaderless import LEADERLESS
from kvorum.model.record import Record, encode, merge
from kvorum.model.request import (
    ANY,
    Answer,
    Change,
    Delete,
    Failure,
    Put,
    Result,
    tell_hinted,
)
from kvorum.model.topology import NamespaceSettings
from kvorum.model.write_plan import (
    ALONE,
    ASK_OWNERS,
    MISSING,
    NOTHING,
    UNREAD,
    UNREADABLE,
    UNVERIFIED,
    OwnRecord,
    ReplicationMode,
    Sight,
    TooFew,
    WritePlan,
)
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.change import (
    DAMAGED,
    QUORUM,
    SIBLING_BOUNDS,
    Changes,
    SiblingBounds,
    holds_just,
)
from kvorum.replication.inquiry import Confirmation, Inquiry
from kvorum.replication.write import WriteOperation
from kvorum.storage.store import COLD

OnResult = Callable[[Result], object]


class Coordination:
    """Coordinates changes of keys that this node owns, or in the place of their owners."""

    __slots__ = (
        "_changes",
        "_hints",
        "_mode",
        "_nodes",
        "_operations",
        "_replica",
        "_settled",
        "_usual",
        "_view",
    )

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        hints: Hints,
        siblings: SiblingBounds = SIBLING_BOUNDS,
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._hints = hints
        self._changes = Changes(replica, operations.clocks, siblings)
        # The nodes that have said, since their link opened, that this one missed nothing; and it.
        self._settled = frozenset((view.local,))
        self._nodes = len(view.topology.nodes)
        self._usual: dict[str, Sight] = {}
        view.subscribe(self._on_catalog)
        self._mode: ReplicationMode = LEADERLESS

    # What other nodes say of this one

    def on_sync_state(self, node: int, behind: bool) -> None:
        """`node` says whether this node has missed writes."""
        if behind:
            self._settle(self._settled - {node})
        else:
            self._settle(self._settled | {node})

    def on_peer_lost(self, node: int) -> None:
        self._settle(self._settled - {node})

    # Changes

    def sight(self, request: Change, place: Place, own: OwnRecord = UNREAD) -> Sight:
        """What this node knows, to plan `request` by; `own`: what it has stored of the key."""
        replica, settings = self._replica, place.settings
        if (
            own == UNREAD
            and not (replica.unverified.tokens or replica.recovering or replica.store.full)
            and (
                isinstance(request, Delete) or not (settings.ttl or request.ttl or request.expires)
            )
        ):
            return self._usual.get(request.namespace) or self._usual_sight(request, settings)
        return self._whole_sight(request, place, own)

    def _whole_sight(self, request: Change, place: Place, own: OwnRecord) -> Sight:
        replica, settings = self._replica, place.settings
        if own == UNREAD and replica.unverified.cover(place.key):
            own = UNVERIFIED
        # Asking the clock costs more than finding out that nobody needs it.
        has_time = (
            isinstance(request, Delete)
            or not is_given(request.ttl, request.expires, settings.ttl)
            or self._operations.clocks.may_mint
        )
        return Sight(
            self._view.local,
            self._operations.is_up,
            self._settled,
            self._nodes,
            settings,
            replica.has_room(place.key),
            has_time,
            replica.recovering,
            own,
            self._operations.leaving,
        )

    def _usual_sight(self, request: Change, settings: NamespaceSettings) -> Sight:
        """The sight while nothing is wrong on this node, kept for the requests to come."""
        made = Sight(
            self._view.local,
            self._operations.is_up,
            self._settled,
            self._nodes,
            settings,
            leaving=self._operations.leaving,
        )
        self._usual[request.namespace] = made
        return made

    def _settle(self, settled: frozenset[int]) -> None:
        self._settled = settled
        self._usual.clear()

    def _on_catalog(self, _old: Catalog, _new: Catalog) -> None:
        self._usual.clear()

    def begin(self, request: Change, place: Place, plan: WritePlan, reply: OnResult) -> None:
        """Make the change as planned; `reply` is called once, after this has returned.

        Raises Overloaded before anything is done, while flush and compaction lag behind writes.
        """
        self._replica.check_pressure(place.key)
        replica, own = self._replica, None
        try:
            found = replica.store.find(place.key, self._on_warm, (request, place, reply))
            if found is COLD:
                return
            if plan.read_first == NOTHING:
                own = found or b"", replica.decoded(place.key, found)
        except StorageError:
            pass  # It cannot be read soundly.
        self._go_on(request, place, plan, reply, own)

    def begin_here(self, request: Change, place: Place, reply: OnResult) -> None:
        """As `begin`, for a request that was planned for another node. Errors go to `reply`."""
        try:
            self.begin(request, place, self._plan_here(request, place, UNREAD), reply)
        except KvorumError as error:
            reply(Failure.of(error))

    def _on_warm(self, waiting: tuple[Change, Place, OnResult]) -> None:
        """This node's record of the key, which was on the disk only, is in memory now."""
        request, place, reply = waiting
        try:
            plan = self._plan_here(request, place, UNREAD)
            own = self._own(place) if plan.read_first == NOTHING else None
            self._go_on(request, place, plan, reply, own)
        except KvorumError as error:
            reply(Failure.of(error))

    def _plan_here(self, request: Change, place: Place, own: OwnRecord) -> WritePlan:
        """Raises RequestError or QuorumError where there is no plan."""
        plan = self._mode.plan_here(request, place.replicas, self.sight(request, place, own))
        if isinstance(plan, TooFew):
            raise self._view.too_few(plan.what, plan.needed, [*plan.up], place.replicas.natural)
        return plan

    def _go_on(
        self,
        request: Change,
        place: Place,
        plan: WritePlan,
        reply: OnResult,
        own: tuple[bytes, Record] | None,
    ) -> None:
        """`own`: this replica's record, encoded and decoded, if the plan relies on it; None if it
        cannot be read soundly.
        """
        timeout_ms = request.timeout_ms or place.settings.timeout_ms
        state: OwnRecord = UNREAD
        if plan.read_first == NOTHING:
            if own is not None and (own[0] or place.settings.durability != "none"):
                self._decide(request, place, plan, own, reply, timeout_ms)
                return
            state = UNREADABLE if own is None else MISSING
        if self._has_lost(place.key):
            state = UNVERIFIED
        if state != UNREAD:
            plan = self._plan_here(request, place, state)
        if isinstance(request, Put) and request.expect == ANY:
            self._operations.counters.stand_in_writes += 1
        deadline = self._operations.runtime.now() + timeout_ms / 1000
        then = partial(self._apply_after_read, request, place, plan, reply, deadline)
        inquiry = Inquiry(
            self._view, self._replica, self._operations, request, place, deadline, reply, then
        )
        inquiry.start(plan.read_first)

    def _own(self, place: Place) -> tuple[bytes, Record] | None:
        """This replica's record, encoded and decoded; None if it cannot be read soundly."""
        try:
            return self._replica.read(place.key)
        except StorageError:
            return None

    def _has_lost(self, key: bytes) -> bool:
        """True if this replica may lack what it had of `key`: see `unverified_tokens.py`."""
        try:
            self._replica.read_bytes(key)
        except CorruptRecord:
            self._replica.unverified.begin(key)
            return True
        except StorageError:
            pass  # met again before anything is written
        return self._replica.unverified.cover(key)

    def _build_on(self, key: bytes, read: Record) -> tuple[bytes | None, Record]:
        """What this replica holds of `key`, encoded, and that together with what was `read`.

        Raises StorageError, unless what cannot be read here was known to be lost before the read.
        """
        try:
            data, own = self._replica.read(key)
        except CorruptRecord:
            if self._replica.unverified.is_shared(key) and not self._replica.unverified.cover(key):
                raise
            return None, read
        return data, merge(own, read)

    def _apply_after_read(
        self,
        request: Change,
        place: Place,
        plan: WritePlan,
        reply: OnResult,
        deadline: float,
        read: Answer,
        reach: int,
    ) -> None:
        """Go on, in the time that is left, with a write whose key's versions were read first."""
        try:
            base = self._build_on(place.key, read.record)
            timeout_ms = self._operations.left_ms(deadline)
            if reach == DAMAGED:
                self._apply(request, place, plan, base, reply, timeout_ms, reach)
            else:
                self._decide(request, place, plan, base, reply, timeout_ms, reach)
        except (NotFound, PreconditionFailed) as error:
            tell_hinted(error, read.hinted)
            reply(Failure.of(error))
        except KvorumError as error:
            reply(Failure.of(error))

    def _apply_confirmed(
        self,
        request: Put,
        place: Place,
        plan: WritePlan,
        reply: OnResult,
        deadline: float,
        read: Record,
        confirmed: Record | None,
    ) -> None:
        """Go on with a blind write of the value that is there (`Confirmation`)."""
        try:
            base = self._build_on(place.key, read)
            if base[1] == confirmed:
                request = msgspec.structs.replace(request, seen=confirmed.context)
            left_ms = self._operations.left_ms(deadline)
            self._apply(request, place, plan, base, reply, left_ms)
        except KvorumError as error:
            reply(Failure.of(error))

    def _decide(
        self,
        request: Change,
        place: Place,
        plan: WritePlan,
        known: tuple[bytes | None, Record],
        reply: OnResult,
        timeout_ms: int,
        reach: int = QUORUM,
    ) -> None:
        """Apply `request`, unless it may be the repetition of a write: that has to be confirmed."""
        if request.seen is None and isinstance(request, Put) and holds_just(known[1], request):
            how = self._mode.confirmation(request, place.replicas, self.sight(request, place))
            if how == ALONE:
                request = msgspec.structs.replace(request, seen=known[1].context)
            elif how == ASK_OWNERS:
                deadline = self._operations.runtime.now() + timeout_ms / 1000
                then = partial(self._apply_confirmed, request, place, plan, reply, deadline)
                # No node is waited for to the end: a new version does as well.
                confirmation = Confirmation(
                    self._view, self._replica, self._operations, place, known[1], then
                )
                confirmation.start(max(1, timeout_ms // 2))
                return
        self._apply(request, place, plan, known, reply, timeout_ms, reach)

    def _apply(
        self,
        request: Change,
        place: Place,
        plan: WritePlan,
        known: tuple[bytes | None, Record],
        reply: OnResult,
        timeout_ms: int,
        reach: int = QUORUM,
    ) -> None:
        """Make the new record from all that is known of the key, and replicate it.

        `known`: what this replica holds, encoded, if that is known; and the record to build on.
        """
        held, base = known
        base = self._replica.unshredded(place.key, base)
        record, answer = self._changes.apply(request, place, base, reach)
        if len(record.versions) > 1:
            self._replica.expiries.see_all(record)
        data = encode(place.key, record)
        operation = WriteOperation(
            self._view,
            self._replica,
            self._operations,
            self._hints,
            place,
            plan,
            answer,
            reply,
        )
        operation.start(data, held, timeout_ms, anew=reach == DAMAGED)
