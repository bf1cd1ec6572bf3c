"""The coordinator: carries out a client's request here, or sends it to a node that can.

    Get             asks R replicas from here, whether this node is one of them or not
    a Change        is coordinated by an owner of the key. A write that carries a version
                    may be coordinated by any owner. Blind writes of a key all go to one,
                    its first healthy owner, so that sequential writers make no siblings.

`coordination.py` is what an owner does then. A node without a copy of the data sends all changes to
others, and reads from others.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvorum.cluster.view import ClusterView, Place
from kvorum.model.errors import KvorumError, Overloaded
from kvorum.model.leaderless import LEADERLESS
from kvorum.model.request import Change, Failure, Get, Request, beyond_replicas
from kvorum.model.write_plan import ReplicationMode, Sight, TooFew, WritePlan
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.coordination import Coordination, OnResult
from kvorum.replication.forward import ForwardOperation
from kvorum.replication.read import GetOperation

OPERATIONS_MAX: Final = 16_384


class Coordinator:
    """Carries out clients' requests, here or through other nodes."""

    __slots__ = ("_coordination", "_mode", "_operations", "_replica", "_sight", "_view")

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
        self._sight = self._bare_sight if coordination is None else coordination.sight
        self._mode: ReplicationMode = LEADERLESS

    def submit(self, request: Request, reply: OnResult) -> None:
        """Carry out `request`; `reply` is called exactly once, after this has returned."""
        try:
            if len(self._operations.table) >= OPERATIONS_MAX:
                raise overloaded()
            place = self._view.place(request.namespace, request.key, request.quorum)
            if isinstance(request, Get):
                self._get(request, place, reply)
                return
            plan = self._mode.plan(request, place.replicas, self._sight(request, place))
            self._follow(request, place, plan, reply)
        except KvorumError as error:
            self._operations.runtime.call_soon(reply, Failure.of(error))

    def coordinate(self, request: Change, reply: OnResult) -> None:
        """Carry out a request that another node has forwarded to this one, as an owner of its key;
        `reply` is called exactly once, after this has returned.
        """
        try:
            if len(self._operations.table) >= OPERATIONS_MAX:
                raise overloaded()
            place = self._view.place(request.namespace, request.key, request.quorum)
            plan = self._mode.plan_forwarded(request, place.replicas, self._sight(request, place))
            self._follow(request, place, plan, reply)
        except KvorumError as error:
            self._operations.runtime.call_soon(reply, Failure.of(error))

    def _bare_sight(self, _request: Change, place: Place) -> Sight:
        """The sight of a node without a replica."""
        nodes = len(self._view.topology.nodes)
        return Sight(
            self._view.local,
            self._operations.is_up,
            frozenset(),
            nodes,
            place.settings,
            leaving=self._operations.leaving,
        )

    def _follow(
        self, request: Change, place: Place, plan: WritePlan | TooFew, reply: OnResult
    ) -> None:
        """Raises QuorumError where there is no plan, and what `Coordination.begin` raises."""
        if isinstance(plan, TooFew):
            raise self._view.too_few(plan.what, plan.needed, [*plan.up], place.replicas.natural)
        if self._coordination is not None and plan.coordinator == self._view.local:
            self._coordination.begin(request, place, plan, reply)
        else:
            self._forward(plan.coordinator, request, place, reply)

    def _get(self, request: Get, place: Place, reply: OnResult) -> None:
        settings = place.settings
        needed = request.r or settings.read
        if needed > settings.replicas:
            raise beyond_replicas("r", needed, request.namespace, settings.replicas)
        operation = GetOperation(self._view, self._replica, self._operations, place, needed, reply)
        operation.start(request.timeout_ms or settings.timeout_ms)

    def _forward(
        self,
        coordinator: int,
        request: Change,
        place: Place,
        reply: OnResult,
        unable: tuple[int, ...] = (),
    ) -> None:
        """Have `coordinator` carry the request out; if it says, before it does anything, that it is
        unable to, another owner that is not in `unable`.
        """
        timeout_ms = request.timeout_ms or place.settings.timeout_ms
        deadline = self._operations.runtime.now() + timeout_ms / 1000

        def detour(failure: Failure) -> None:
            tried = (*unable, coordinator)
            other = self._mode.another(place.replicas, self._sight(request, place), tried)
            left_ms = int((deadline - self._operations.runtime.now()) * 1000)
            if other is None or left_ms <= 0:
                reply(failure)
                return
            rest = msgspec.structs.replace(request, timeout_ms=left_ms)
            if self._coordination is not None and other == self._view.local:
                self._coordination.begin_here(rest, place, reply)
            else:
                self._forward(other, rest, place, reply, tried)

        operation = ForwardOperation(self._view, self._operations, coordinator, reply, detour)
        operation.start(request, timeout_ms)


def overloaded() -> Overloaded:
    """The error for a request beyond OPERATIONS_MAX."""
    return Overloaded(
        f"This node has {OPERATIONS_MAX} operations under way, as many as it takes. Retry later.",
        retry_after=1,
    )
