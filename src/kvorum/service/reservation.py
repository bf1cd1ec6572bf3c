"""Reservations: places in the admission that the operations of one list share.

A list takes its places before its first operation. So where there is no room it is refused as a
whole, and not in its middle. The list sees to it that no more operations are under way than it has
places.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from kvorum.model.record import Record
from kvorum.model.request import Request, Result
from kvorum.service.access import AccessControl
from kvorum.service.action import ACTION_OF, Action
from kvorum.service.admission import Admission
from kvorum.service.latencies import Latency
from kvorum.service.ports import Coordinator
from kvorum.service.principal import Principal


class Reservation:
    """Places for `operations`, which have been taken and are its until `release`."""

    __slots__ = (
        "_access",
        "_admission",
        "_allows",
        "_began",
        "_coordinator",
        "_latency",
        "_operations",
    )

    def __init__(
        self,
        access: AccessControl,
        admission: Admission,
        coordinator: Coordinator,
        operations: int,
        latency: Latency,
    ) -> None:
        """`latency` is told how long the list took."""
        self._access = access
        self._allows = access.allows
        self._admission = admission
        self._coordinator = coordinator
        self._operations = operations
        self._latency = latency
        self._began = monotonic()

    def submit(
        self, principal: Principal, request: Request, reply: Callable[[Result], object]
    ) -> None:
        """Carry out `request`. Raises AccessDenied."""
        action = ACTION_OF[type(request)]
        if not self._allows(principal, action, request.namespace, request.key):
            raise self._access.denied(principal, action, request.namespace, request.key)
        self._coordinator.submit(request, reply)

    def ingest(
        self,
        principal: Principal,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
    ) -> None:
        """Merge `record` into the owners of `key`, `w` as in `Coordinator`. Raises AccessDenied."""
        self._access.check(principal, Action.IMPORT_RECORDS, namespace, key)
        self._coordinator.ingest(namespace, key, record, w, reply)

    def release(self) -> None:
        """Give the places back; no operation is begun after that."""
        self._admission.leave(self._operations)
        self._latency.took(monotonic() - self._began)
