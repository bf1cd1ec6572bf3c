"""The service of a node whose audit log has requests of entries as well.

It is a class of its own, so that where the log does not have them nothing is asked per request.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.audit_level import AuditLevel
from kvorum.model.record import Record
from kvorum.model.request import Answer, Get, Listing, Request, Result, Selection
from kvorum.service.action import ACTION_OF, Action
from kvorum.service.audit import OK, Auditor
from kvorum.service.principal import Principal
from kvorum.service.reply import Reply
from kvorum.service.reservation import Reservation
from kvorum.service.service import Service


def service_for(auditor: Auditor) -> type[Service]:
    """The kind of service that tells `auditor` what it wants to know."""
    return AuditedService if auditor.level.covers(AuditLevel.WRITES) else Service


class AuditedReservation(Reservation):
    """Each operation of the list is told of."""

    __slots__ = ()

    def submit(
        self, principal: Principal, request: Request, reply: Callable[[Result], object]
    ) -> None:
        action, outcome_of = ACTION_OF[type(request)], None
        if isinstance(request, Get):
            outcome_of = _outcome_of_read
        with self._access.audit.action(principal, action, request.namespace, request.key) as told:
            super().submit(principal, request, told.later(reply, outcome_of))

    def ingest(
        self,
        principal: Principal,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
    ) -> None:
        with self._access.audit.action(principal, Action.IMPORT_RECORDS, namespace, key) as told:
            super().ingest(principal, namespace, key, record, w, told.later(reply))


class AuditedService(Service):
    """A service that tells of each request of an entry."""

    reservation = AuditedReservation

    def submit(self, principal: Principal, request: Request, reply: Reply[Answer]) -> None:
        action = ACTION_OF[type(request)]
        with self.access.audit.action(principal, action, request.namespace, request.key) as told:
            super().submit(principal, request, reply)
            reply.latency = told.timing(reply.latency)

    def scan(self, principal: Principal, selection: Selection, reply: Reply[Listing]) -> None:
        with self.access.audit.action(
            principal, Action.SCAN, selection.namespace, selection.prefix
        ) as told:
            super().scan(principal, selection, reply)
            reply.latency = told.timing(reply.latency)


def _outcome_of_read(result: Result) -> str:
    if isinstance(result, Answer):
        return OK if result.record.versions else "not_found"
    return result.code
