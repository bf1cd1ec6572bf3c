"""The coordinator: where a client's request goes.

    Get             asks R replicas from here, whether this node is one of them or not
    a Change        is coordinated by an owner of the key. A write that carries a version
                    may be coordinated by any owner. Blind writes of a key all go to one,
                    its first healthy owner, so that sequential writers make no siblings.

What an owner does then says `coordination.py`. A node without a copy of the data sends all changes
to others, and reads from others.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.cluster.view import ClusterView, Place
from kvorum.model.errors import KvorumError, Overloaded, RequestError
from kvorum.model.request import Change, Failure, Get, Request
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.coordination import Coordination, OnResult, out_of_range
from kvorum.replication.forward import ForwardOperation
from kvorum.replication.read import GetOperation

OPERATIONS_MAX: Final = 16_384


class Coordinator:
    """Carries out clients' requests, here or through other nodes."""

    __slots__ = ("_coordination", "_operations", "_replica", "_view")

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica | None,
        operations: Operations,
        coordination: Coordination | None,
    ) -> None:
        """`coordination`: None on a node without a replica."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._coordination = coordination

    def submit(self, request: Request, reply: OnResult) -> None:
        """Carry out `request`; `reply` is called exactly once, after this has returned."""
        try:
            place = self._admit(request)
            if isinstance(request, Get):
                self._get(request, place, reply)
                return
            leader = self._leader(request, place)
            if leader == self._view.local and self._coordination is not None:
                self._coordination.begin(request, place, reply)
            else:
                self._forward(leader, request, place, reply)
        except KvorumError as error:
            self._operations.runtime.call_soon(reply, Failure.of(error))

    def coordinate(self, request: Change, reply: OnResult) -> None:
        """A request that another node has forwarded to this one, as an owner of its key."""
        try:
            place = self._admit(request)
            if self._coordination is not None and self._view.local in place.replicas.natural:
                self._coordination.begin(request, place, reply)
            else:
                self._stand_in(request, place, reply)
        except KvorumError as error:
            self._operations.runtime.call_soon(reply, Failure.of(error))

    def _admit(self, request: Request) -> Place:
        if len(self._operations.table) >= OPERATIONS_MAX:
            raise _overloaded()
        return self._view.place(request.namespace, request.key, request.quorum)

    def _stand_in(self, request: Change, place: Place, reply: OnResult) -> None:
        """Another node found all owners away and sent the request to this one, which is none.

        If an owner can be reached from here it goes on to that one: an owner keeps what it is
        sent, so there is no third hop.
        """
        for owner in place.replicas.natural:
            if self._operations.is_up(owner):
                self._forward(owner, request, place, reply)
                return
        if self._coordination is None or self._view.local not in place.replicas.preference:
            raise RequestError(
                "wanted an owner of the key as its coordinator, got another node; "
                "the nodes' cluster files differ"
            )
        self._coordination.begin(request, place, reply)

    def _get(self, request: Get, place: Place, reply: OnResult) -> None:
        settings = place.settings
        needed = request.r or settings.read
        if needed > settings.replicas:
            raise out_of_range("r", needed, settings.replicas)
        operation = GetOperation(self._view, self._replica, self._operations, place, needed, reply)
        operation.start(request.timeout_ms or settings.timeout_ms)

    def _leader(self, request: Change, place: Place) -> int:
        """Who coordinates `request`: an owner, or where all are away the first that stands in."""
        owners, local = place.replicas.natural, self._view.local
        if self._coordination is not None and local in owners:
            if not self._coordination.can(request, place):
                other = self._another(place, (local,))
                return local if other is None else other
            if request.seen is not None:
                return local
        for node in place.replicas.preference:
            if self._operations.is_up(node):
                return node
        raise self._view.too_few("coordinate the write", 1, [], owners)

    def _another(self, place: Place, unable: tuple[int, ...]) -> int | None:
        """The first owner that is up and not among those that are `unable`, for all known."""
        for node in place.replicas.natural:
            if node not in unable and self._operations.is_up(node):
                return node
        return None

    def _forward(
        self,
        leader: int,
        request: Change,
        place: Place,
        reply: OnResult,
        unable: tuple[int, ...] = (),
    ) -> None:
        """Have `leader` coordinate; if it is unable to, which it says before it does anything,
        an owner that is not in `unable` either.
        """
        timeout_ms = request.timeout_ms or place.settings.timeout_ms
        deadline = self._operations.runtime.now() + timeout_ms / 1000

        def detour(failure: Failure) -> None:
            tried = (*unable, leader)
            other = self._another(place, tried)
            left_ms = int((deadline - self._operations.runtime.now()) * 1000)
            if other is None or left_ms <= 0:
                reply(failure)
                return
            rest = msgspec.structs.replace(request, timeout_ms=left_ms)
            if self._coordination is not None and other == self._view.local:
                self._coordination.begin_late(rest, place, reply)
            else:
                self._forward(other, rest, place, reply, tried)

        operation = ForwardOperation(self._view, self._operations, leader, reply, detour)
        operation.start(request, timeout_ms)


def _overloaded() -> Overloaded:
    return Overloaded(
        f"wanted fewer than {OPERATIONS_MAX} operations under way, got that many; retry later",
        retry_after=1,
    )
