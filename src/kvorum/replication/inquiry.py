"""Reads that go before a write, so that its coordinator knows enough to decide.

    Inquiry        reads a quorum's records, before a write that has to know what is there. The
    version
                   that a touch, a delete or an exact condition has seen must be found, if it can
                   be: where the quorum lacks it, all owners are read. Where so many owners have
                   damaged records that no quorum is left, what is left is enough to write or
                   delete.
    Confirmation   reads all owners' records, before a blind write of the value that is there: is it
    in
                   force still?

`change.py` says why each is needed.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.cluster.view import ClusterView, Place
from kvorum.model.record import Record, dominates
from kvorum.model.request import ANY, Answer, Change, Failure, Put, Result, Touch
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.change import ALL, DAMAGED, QUORUM
from kvorum.replication.read import BaseRead, ReadOperation


class Inquiry:
    """Reads the records of a key for one request."""

    __slots__ = (
        "_deadline",
        "_operations",
        "_place",
        "_read",
        "_replica",
        "_reply",
        "_request",
        "_then",
        "_view",
    )

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        request: Change,
        place: Place,
        deadline: float,
        reply: Callable[[Result], object],
        then: Callable[[Answer, int], object],
    ) -> None:
        """`then` is given what was read and how far it reaches: QUORUM, ALL or DAMAGED; else
        `reply` gets the Failure.
        """
        self._deadline = deadline
        self._place = place
        self._read: Answer | None = None
        self._reply = reply
        self._request = request
        self._view = view
        self._replica = replica
        self._operations = operations
        self._then = then

    def start(self, needed: int) -> None:
        """Read from `needed` replicas."""
        request, place = self._request, self._place
        operation: ReadOperation
        if request.expect == ANY and not isinstance(request, Touch):
            operation = BaseRead(
                self._view,
                self._replica,
                self._operations,
                place,
                needed,
                self._on_read,
                self._on_damaged,
            )
        else:
            operation = ReadOperation(
                self._view, self._replica, self._operations, place, needed, self._on_read
            )
        operation.start(self._operations.left_ms(self._deadline))

    def _on_read(self, result: Result) -> None:
        if isinstance(result, Failure):
            if self._read is None:
                self._reply(result)
            else:
                self._then(self._read, QUORUM)
        elif self._read is None and self._lacks_what_was_seen(result.record):
            self._read = result
            self.start(len(self._place.replicas.natural))
        else:
            self._then(result, QUORUM if self._read is None else ALL)

    def _on_damaged(self, result: Answer) -> None:
        self._then(result, DAMAGED)

    def _lacks_what_was_seen(self, record: Record) -> bool:
        request = self._request
        if request.seen is None or (isinstance(request, Put) and request.expect == ANY):
            return False
        return not dominates(record.context, request.seen)


class Confirmation:
    """Finds out whether no owner of a key has anything beyond `base`, which its coordinator has."""

    __slots__ = ("_base", "_operations", "_place", "_replica", "_then", "_view")

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        place: Place,
        base: Record,
        then: Callable[[Record, Record | None], object],
    ) -> None:
        """`then` is given what was read, and `base` if that was all of it; else None."""
        self._base = base
        self._place = place
        self._view = view
        self._replica = replica
        self._operations = operations
        self._then = then

    def start(self, timeout_ms: int) -> None:
        """Read from all owners, and give up after `timeout_ms`."""
        place = self._place
        ReadOperation(
            self._view,
            self._replica,
            self._operations,
            place,
            len(place.replicas.natural),
            self._on_read,
        ).start(timeout_ms)

    def _on_read(self, result: Result) -> None:
        if isinstance(result, Failure):
            self._then(self._base, None)
        else:
            read = result.record
            self._then(read, self._base if read == self._base else None)
