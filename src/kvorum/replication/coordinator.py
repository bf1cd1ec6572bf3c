"""The coordinator: what this node does with a client's request.

    Get             asks R replicas from here, whether this node is one of them or not
    a Change        is coordinated by an owner of the key. A write that carries a version
                    may be coordinated by any owner. Blind writes of a key all go to one,
                    its first healthy owner, so that sequential writers make no siblings.

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

from kvorum.model.errors import (
    CorruptRecord,
    KvorumError,
    NotFound,
    Overloaded,
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
    Get,
    Put,
    Request,
    Result,
    tell_hinted,
)
from kvorum.replication.change import (
    DAMAGED,
    QUORUM,
    SIBLING_BOUNDS,
    Changes,
    SiblingBounds,
    gives_lifetime,
    holds_just,
)
from kvorum.replication.forward import ForwardOperation
from kvorum.replication.hints import Hints
from kvorum.replication.inquiry import Confirmation, Inquiry, left_ms
from kvorum.replication.read import GetOperation
from kvorum.replication.site import Place, Site
from kvorum.replication.write import WriteOperation

OPERATIONS_MAX = 16_384

Reply = Callable[[Result], object]


class Coordinator:
    __slots__ = ("_changes", "_hints", "_settled", "_site")

    def __init__(self, site: Site, hints: Hints, siblings: SiblingBounds = SIBLING_BOUNDS) -> None:
        self._site = site
        self._hints = hints
        self._changes = Changes(site, siblings)
        self._settled = {site.local}

    # What peers say of this node's standing

    def on_standing(self, node: int, behind: bool) -> None:
        if behind:
            self._settled.discard(node)
        else:
            self._settled.add(node)

    def on_peer_lost(self, node: int) -> None:
        self._settled.discard(node)

    # Requests

    def submit(self, request: Request, reply: Reply) -> None:
        """Carry out `request`; `reply` is called exactly once, after this has returned."""
        try:
            if len(self._site.operations) >= OPERATIONS_MAX:
                raise _overloaded()
            place = self._site.place(request.namespace, request.key, request.quorum)
            if isinstance(request, Get):
                self._get(request, place, reply)
                return
            leader = self._leader(request, place)
            if leader == self._site.local:
                self._coordinate(request, place, reply)
            else:
                self._forward(leader, request, place, reply)
        except KvorumError as error:
            self._site.runtime.call_soon(reply, Failure.of(error))

    def coordinate(self, request: Change, reply: Reply) -> None:
        """A request that another node has forwarded to this one, as an owner of its key."""
        try:
            if len(self._site.operations) >= OPERATIONS_MAX:
                raise _overloaded()
            place = self._site.place(request.namespace, request.key, request.quorum)
            if self._site.local in place.owners:
                self._coordinate(request, place, reply)
            else:
                self._stand_in(request, place, reply)
        except KvorumError as error:
            self._site.runtime.call_soon(reply, Failure.of(error))

    def _stand_in(self, request: Change, place: Place, reply: Reply) -> None:
        """Another node found all owners away and sent the request to this one, which is none.

        If an owner can be reached from here it goes on to that one: an owner keeps what it is
        sent, so there is no third hop.
        """
        for owner in place.owners:
            if self._site.is_up(owner):
                self._forward(owner, request, place, reply)
                return
        if self._site.local not in place.preference:
            raise RequestError(
                "wanted an owner of the key as its coordinator, got another node; "
                "the nodes' cluster files differ"
            )
        self._coordinate(request, place, reply)

    def _get(self, request: Get, place: Place, reply: Reply) -> None:
        settings = place.settings
        needed = request.r or settings.read
        if needed > settings.replicas:
            raise _out_of_range("r", needed, settings.replicas)
        operation = GetOperation(self._site, place, needed, reply)
        operation.start(request.timeout_ms or settings.timeout_ms)

    def _leader(self, request: Change, place: Place) -> int:
        """Who coordinates `request`: an owner, or where all are away the first that stands in."""
        owners, site = place.owners, self._site
        if site.local in owners and not self._can(request, place):
            other = self._another(place, (site.local,))
            return site.local if other is None else other
        if request.seen is not None and site.local in owners:
            return site.local
        for node in place.preference:
            if site.is_up(node):
                return node
        raise site.too_few("coordinate the write", 1, [], owners)

    def _can(self, request: Change, place: Place) -> bool:
        """True if nothing of this node itself stands in the way: no full disk, no wrong clock."""
        if isinstance(request, Delete):
            return True
        site = self._site
        return site.has_room(place.key) and (
            site.clocks.may_mint or not gives_lifetime(request, place.settings)
        )

    def _another(self, place: Place, unable: tuple[int, ...]) -> int | None:
        """The first owner that is up and not among those that are `unable`, for all known."""
        for node in place.owners:
            if node not in unable and self._site.is_up(node):
                return node
        return None

    def _forward(
        self,
        leader: int,
        request: Change,
        place: Place,
        reply: Reply,
        unable: tuple[int, ...] = (),
    ) -> None:
        """Have `leader` coordinate; if it is unable to, which it says before it does anything,
        an owner that is not in `unable` either.
        """
        timeout_ms = request.timeout_ms or place.settings.timeout_ms
        deadline = self._site.runtime.now() + timeout_ms / 1000

        def detour(failure: Failure) -> None:
            tried = (*unable, leader)
            other = self._another(place, tried)
            left_ms = int((deadline - self._site.runtime.now()) * 1000)
            if other is None or left_ms <= 0:
                reply(failure)
                return
            rest = msgspec.structs.replace(request, timeout_ms=left_ms)
            if other == self._site.local:
                self._coordinate_here(rest, place, reply)
            else:
                self._forward(other, rest, place, reply, tried)

        ForwardOperation(self._site, leader, reply, detour).start(request, timeout_ms)

    def _coordinate_here(self, request: Change, place: Place, reply: Reply) -> None:
        try:
            self._coordinate(request, place, reply)
        except KvorumError as error:
            reply(Failure.of(error))

    def _coordinate(self, request: Change, place: Place, reply: Reply) -> None:
        """Raises Overloaded before anything is done, while this node's store falls behind."""
        self._site.check_pressure(place.key)
        if self._site.is_warm(place.key, self._on_warm, (request, place, reply)):
            self._coordinate_warm(request, place, reply)

    def _on_warm(self, waiting: tuple[Change, Place, Reply]) -> None:
        """This node's record of the key, which was on the disk only, is at hand now."""
        try:
            self._coordinate_warm(*waiting)
        except KvorumError as error:
            waiting[2](Failure.of(error))

    def _coordinate_warm(self, request: Change, place: Place, reply: Reply) -> None:
        site, settings = self._site, place.settings
        needed = request.w or settings.write
        if needed > settings.replicas:
            raise _out_of_range("w", needed, settings.replicas)
        up = [node for node in place.preference if site.is_up(node)]
        if len(up) < needed:
            raise site.too_few("store it", needed, up, place.owners)
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
            site.counters.stand_in_writes += 1
        else:
            to_read = min(max(majority, settings.read), settings.replicas)
        if self._has_lost(place.key):
            # All that was stored on W replicas, this one among them: its next dot will cover it.
            to_read = max(
                to_read, min(settings.replicas - settings.write + 1, len(place.owners) - 1)
            )
        deadline = site.runtime.now() + timeout_ms / 1000
        then = partial(self._apply_after_read, request, place, reply, deadline)
        Inquiry(site, request, place, deadline, reply, then).start(to_read)

    def _knows_enough(self, request: Change, place: Place) -> bool:
        """True if this replica's own record is all that the write needs to know."""
        if not isinstance(request, Put) or request.expect != ANY:
            return False
        if self._site.doubts.cover(place.key):
            return False
        if request.seen is not None:
            return True
        if self._site.recovering:
            return False
        return place.owners[0] == self._site.local and self._settled.issuperset(place.preference)

    def _own(self, place: Place) -> tuple[bytes, Record] | None:
        """This replica's record, encoded and decoded; None if it cannot be read soundly."""
        try:
            return self._site.read_local(place.key)
        except StorageError:
            return None

    def _has_lost(self, key: bytes) -> bool:
        """True if this replica may lack what it had of `key`: see `doubts.py`."""
        try:
            self._site.read_bytes(key)
        except CorruptRecord:
            self._site.doubts.begin(key)
            return True
        except StorageError:
            pass  # met again before anything is written
        return self._site.doubts.cover(key)

    def _build_on(self, key: bytes, read: Record) -> tuple[bytes | None, Record]:
        """What this replica holds of `key`, encoded, and that together with what was `read`.

        Raises StorageError, unless what cannot be read here was known to be lost before the read.
        """
        try:
            data, own = self._site.read_local(key)
        except CorruptRecord:
            if self._site.doubts.is_shared(key) and not self._site.doubts.cover(key):
                raise
            return None, read
        return data, merge(own, read)

    def _apply_after_read(
        self,
        request: Change,
        place: Place,
        reply: Reply,
        deadline: float,
        read: Answer,
        reach: int,
    ) -> None:
        """Go on, in the time that is left, with a write whose key's versions were read first."""
        try:
            base = self._build_on(place.key, read.record)
            timeout_ms = left_ms(self._site, deadline)
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
        reply: Reply,
        deadline: float,
        read: Record,
        confirmed: Record | None,
    ) -> None:
        """Go on with a blind write of what is there, see `Confirmation`."""
        try:
            base = self._build_on(place.key, read)
            if base[1] == confirmed:
                request = msgspec.structs.replace(request, seen=confirmed.context)
            self._apply(request, place, base, reply, left_ms(self._site, deadline))
        except KvorumError as error:
            reply(Failure.of(error))

    def _decide(
        self,
        request: Change,
        place: Place,
        known: tuple[bytes | None, Record],
        reply: Reply,
        timeout_ms: int,
        reach: int = QUORUM,
    ) -> None:
        """Apply `request`, unless it may be the repetition of a write: that has to be confirmed."""
        if request.seen is None and isinstance(request, Put) and holds_just(known[1], request):
            if place.preference == (self._site.local,):
                request = msgspec.structs.replace(request, seen=known[1].context)
            elif self._is_confirmable(place):
                deadline = self._site.runtime.now() + timeout_ms / 1000
                then = partial(self._apply_confirmed, request, place, reply, deadline)
                # Whoever does not answer is not waited for to the end: a new version does as well.
                Confirmation(self._site, place, known[1], then).start(max(1, timeout_ms // 2))
                return
        self._apply(request, place, known, reply, timeout_ms, reach)

    def _is_confirmable(self, place: Place) -> bool:
        """True if the owners can tell all that was acknowledged: nobody may have stood in for
        them. Who does leaves a hint for the first of them, and that one is told of it.
        """
        site = self._site
        is_first = place.owners[0] == site.local and place.preference is place.owners
        return is_first and len(self._settled) == len(site.topology.nodes)

    def _apply(
        self,
        request: Change,
        place: Place,
        known: tuple[bytes | None, Record],
        reply: Reply,
        timeout_ms: int,
        reach: int = QUORUM,
    ) -> None:
        """Make the new record from all that is known of the key, and replicate it.

        `known`: what this replica holds, encoded, if that is known; and the record to build on.
        """
        held, base = known
        site = self._site
        base = site.unshredded(place.key, base)
        record, answer = self._changes.apply(request, place, base, reach)
        if len(record.versions) > 1:
            site.expiries.see_all(record)
        data = encode(place.key, record)
        needed = request.w or place.settings.write
        operation = WriteOperation(site, self._hints, place, needed, answer, reply)
        operation.start(data, held, timeout_ms, anew=reach == DAMAGED)


def _overloaded() -> Overloaded:
    return Overloaded(
        f"wanted fewer than {OPERATIONS_MAX} operations under way, got that many; retry later",
        retry_after=1,
    )


def _out_of_range(name: str, got: int, replicas: int) -> RequestError:
    return RequestError(
        f"wanted {name} from 1 to {replicas}, the namespace's replicas, got {got}",
        wanted=f"1..{replicas}",
        got=got,
    )
