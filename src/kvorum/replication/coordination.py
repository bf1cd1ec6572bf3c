"""The changes that this node coordinates: from what it knows of a key to the write to all owners.

A blind write replaces what its coordinator has seen. The first owner, while every other
owner has told it that it missed nothing, has seen all earlier ones; anyone else (a stand-in,
a node that was away, one that has nothing of a key in a namespace kept in memory: it
may have been evicted) first reads a quorum's versions. So do deletes, touches and
preconditions, because they speak about what is there (`inquiry.py`). What becomes of the record
then says `change.py`.

That the first owner missed nothing is good enough to avoid siblings, and for nothing else: a write
to the others may be on its way, or have been acknowledged by others with w=1. So a blind write of
the very value that is there makes no new version only if all owners, asked after it came in, hold
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
from kvorum.model.errors import (
    CorruptRecord,
    KvorumError,
    NotFound,
    PreconditionFailed,
    RequestError,
    StorageError,
)
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
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.change import (
    DAMAGED,
    QUORUM,
    SIBLING_BOUNDS,
    Changes,
    SiblingBounds,
    gives_lifetime,
    holds_just,
)
from kvorum.replication.inquiry import Confirmation, Inquiry
from kvorum.replication.write import WriteOperation

OnResult = Callable[[Result], object]


class Coordination:
    """Coordinates changes of keys that this node owns, or for whose owners it stands in."""

    __slots__ = ("_changes", "_hints", "_operations", "_replica", "_settled", "_view")

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
        self._settled = {view.local}

    # What peers say of this node's standing

    def on_standing(self, node: int, behind: bool) -> None:
        """`node` says whether this node has missed writes."""
        if behind:
            self._settled.discard(node)
        else:
            self._settled.add(node)

    def on_peer_lost(self, node: int) -> None:
        self._settled.discard(node)

    # Changes

    def can(self, request: Change, place: Place) -> bool:
        """True if nothing of this node itself stands in the way: no full disk, no wrong clock."""
        if isinstance(request, Delete):
            return True
        return self._replica.has_room(place.key) and (
            self._operations.clocks.may_mint or not gives_lifetime(request, place.settings)
        )

    def begin(self, request: Change, place: Place, reply: OnResult) -> None:
        """Make the change, and tell all owners; `reply` comes once, after this has returned.

        Raises Overloaded before anything is done, while this node's store falls behind;
        RequestError or QuorumError where it cannot be done.
        """
        self._replica.check_pressure(place.key)
        if self._replica.is_warm(place.key, self._on_warm, (request, place, reply)):
            self._coordinate_warm(request, place, reply)

    def begin_late(self, request: Change, place: Place, reply: OnResult) -> None:
        """As `begin`, once other nodes were asked: what it would raise is replied."""
        try:
            self.begin(request, place, reply)
        except KvorumError as error:
            reply(Failure.of(error))

    def _on_warm(self, waiting: tuple[Change, Place, OnResult]) -> None:
        """This node's record of the key, which was on the disk only, is at hand now."""
        try:
            self._coordinate_warm(*waiting)
        except KvorumError as error:
            waiting[2](Failure.of(error))

    def _coordinate_warm(self, request: Change, place: Place, reply: OnResult) -> None:
        settings = place.settings
        needed = request.w or settings.write
        if needed > settings.replicas:
            raise out_of_range("w", needed, settings.replicas)
        up = [node for node in place.replicas.preference if self._operations.is_up(node)]
        if len(up) < needed:
            raise self._view.too_few("store it", needed, up, place.replicas.natural)
        timeout_ms = request.timeout_ms or settings.timeout_ms
        if self._knows_enough(request, place):
            own = self._own(place)
            if own is not None and (own[0] or place.settings.durability != "none"):
                self._decide(request, place, own, reply, timeout_ms)
                return
        majority = settings.replicas // 2 + 1
        if isinstance(request, Put) and request.expect == ANY:
            # Only to avoid siblings: when no quorum can be read the write goes on without.
            to_read = min(majority, len(up))
            self._operations.counters.stand_in_writes += 1
        else:
            to_read = min(max(majority, settings.read), settings.replicas)
        if self._has_lost(place.key):
            # All that was stored on W replicas, this one among them: its next dot will cover it.
            to_read = max(
                to_read,
                min(settings.replicas - settings.write + 1, len(place.replicas.natural) - 1),
            )
        deadline = self._operations.runtime.now() + timeout_ms / 1000
        then = partial(self._apply_after_read, request, place, reply, deadline)
        inquiry = Inquiry(
            self._view, self._replica, self._operations, request, place, deadline, reply, then
        )
        inquiry.start(to_read)

    def _knows_enough(self, request: Change, place: Place) -> bool:
        """True if this replica's own record is all that the write needs to know."""
        if not isinstance(request, Put) or request.expect != ANY:
            return False
        if self._replica.doubts.cover(place.key):
            return False
        if request.seen is not None:
            return True
        if self._replica.recovering:
            return False
        return place.replicas.natural[0] == self._view.local and self._settled.issuperset(
            place.replicas.preference
        )

    def _own(self, place: Place) -> tuple[bytes, Record] | None:
        """This replica's record, encoded and decoded; None if it cannot be read soundly."""
        try:
            return self._replica.read(place.key)
        except StorageError:
            return None

    def _has_lost(self, key: bytes) -> bool:
        """True if this replica may lack what it had of `key`: see `doubts.py`."""
        try:
            self._replica.read_bytes(key)
        except CorruptRecord:
            self._replica.doubts.begin(key)
            return True
        except StorageError:
            pass  # met again before anything is written
        return self._replica.doubts.cover(key)

    def _build_on(self, key: bytes, read: Record) -> tuple[bytes | None, Record]:
        """What this replica holds of `key`, encoded, and that together with what was `read`.

        Raises StorageError, unless what cannot be read here was known to be lost before the read.
        """
        try:
            data, own = self._replica.read(key)
        except CorruptRecord:
            if self._replica.doubts.is_shared(key) and not self._replica.doubts.cover(key):
                raise
            return None, read
        return data, merge(own, read)

    def _apply_after_read(
        self,
        request: Change,
        place: Place,
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
                self._apply(request, place, base, reply, timeout_ms, reach)
            else:
                self._decide(request, place, base, reply, timeout_ms, reach)
        except (NotFound, PreconditionFailed) as error:
            tell_hinted(error, read.hinted)
            reply(Failure.of(error))
        except KvorumError as error:
            reply(Failure.of(error))

    def _apply_confirmed(
        self,
        request: Put,
        place: Place,
        reply: OnResult,
        deadline: float,
        read: Record,
        confirmed: Record | None,
    ) -> None:
        """Go on with a blind write of what is there, see `Confirmation`."""
        try:
            base = self._build_on(place.key, read)
            if base[1] == confirmed:
                request = msgspec.structs.replace(request, seen=confirmed.context)
            self._apply(request, place, base, reply, self._operations.left_ms(deadline))
        except KvorumError as error:
            reply(Failure.of(error))

    def _decide(
        self,
        request: Change,
        place: Place,
        known: tuple[bytes | None, Record],
        reply: OnResult,
        timeout_ms: int,
        reach: int = QUORUM,
    ) -> None:
        """Apply `request`, unless it may be the repetition of a write: that has to be confirmed."""
        if request.seen is None and isinstance(request, Put) and holds_just(known[1], request):
            if place.replicas.preference == (self._view.local,):
                request = msgspec.structs.replace(request, seen=known[1].context)
            elif self._is_confirmable(place):
                deadline = self._operations.runtime.now() + timeout_ms / 1000
                then = partial(self._apply_confirmed, request, place, reply, deadline)
                # Whoever does not answer is not waited for to the end: a new version does as well.
                confirmation = Confirmation(
                    self._view, self._replica, self._operations, place, known[1], then
                )
                confirmation.start(max(1, timeout_ms // 2))
                return
        self._apply(request, place, known, reply, timeout_ms, reach)

    def _is_confirmable(self, place: Place) -> bool:
        """True if the owners can tell all that was acknowledged: nobody may have stood in for
        them. Who does leaves a hint for the first of them, and that one is told of it.
        """
        replicas = place.replicas
        is_first = replicas.natural[0] == self._view.local and not replicas.fallbacks
        return is_first and len(self._settled) == len(self._view.topology.nodes)

    def _apply(
        self,
        request: Change,
        place: Place,
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
        needed = request.w or place.settings.write
        operation = WriteOperation(
            self._view,
            self._replica,
            self._operations,
            self._hints,
            place,
            needed,
            answer,
            reply,
        )
        operation.start(data, held, timeout_ms, anew=reach == DAMAGED)


def out_of_range(name: str, got: int, replicas: int) -> RequestError:
    """The error for a request that asks for more replicas than there are."""
    return RequestError(
        f"wanted {name} from 1 to {replicas}, the namespace's replicas, got {got}",
        wanted=f"1..{replicas}",
        got=got,
    )
