"""The service: it checks and carries out the requests for entries of every protocol.

    face ──> principal, action ──> policy ──> admission ──> coordinator ──> reply ──> face
             who, and what for     may he?    is there room?

A face (of a protocol, or of the embedded store) turns what it is sent into a request of
`model/request.py`, and the result into what its clients understand. What is the same for all of
them is here: who may do what, how much may be under way, how large a value may be, how versions
are written as text, what a lifetime means.

What concerns the node and not its entries goes through `administration.py`, under the same policy.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from kvorum.model.request import Answer, Listing, Request, Selection
from kvorum.service.access import OPEN, AccessControl, Policy
from kvorum.service.action import ACTION_OF, Action
from kvorum.service.admission import Admission
from kvorum.service.audit import UNAUDITED, Auditor
from kvorum.service.latencies import EXPORT, LIST, SCAN, UNMEASURED, Latencies
from kvorum.service.limits import ServiceLimits
from kvorum.service.ports import Coordinator
from kvorum.service.principal import Principal
from kvorum.service.reply import Reply
from kvorum.service.reservation import Reservation
from kvorum.service.seal import Seal
from kvorum.service.version_string import VersionStrings

_CURSOR: Final = 2
"""The purpose of sealed cursors; 1 is that of version strings."""


class Service:
    """Entries, for principals. Each call raises AccessDenied or Overloaded before it does anything.

    `secret` is the cluster's; `actor_name` shows actors to people.
    """

    reservation = Reservation

    def __init__(
        self,
        coordinator: Coordinator,
        secret: bytes,
        actor_name: Callable[[int], str],
        limits: ServiceLimits | None = None,
        policy: Policy = OPEN,
        latencies: Latencies = UNMEASURED,
        auditor: Auditor = UNAUDITED,
    ) -> None:
        self.limits = limits or ServiceLimits()
        self.actor_name = actor_name
        self.access = AccessControl(policy, auditor)
        self.admission = Admission(self.limits.in_flight, self.limits.retry_after_s)
        self.latencies = latencies
        """How long requests took, by kind of operation."""
        self.versions = VersionStrings(secret)
        self.cursors = Seal(secret, _CURSOR)
        """Of listings, as opaque text for one namespace."""
        self._coordinator = coordinator
        self._allows = self.access.allows
        self._known = {kind: (action, latencies.of[kind]) for kind, action in ACTION_OF.items()}

    def submit(self, principal: Principal, request: Request, reply: Reply[Answer]) -> None:
        """Carry out `request`; `reply` takes its Answer or Failure after this has returned."""
        action, latency = self._known[type(request)]
        if not self._allows(principal, action, request.namespace, request.key):
            raise self.access.denied(principal, action, request.namespace, request.key)
        admission = self.admission
        if admission.in_flight >= admission.limit:
            raise admission.overloaded()
        admission.in_flight += 1
        # `Reply.let_in`, without the call: this runs for each request.
        reply.admission = admission
        reply.latency = latency
        reply.began = monotonic()
        self._coordinator.submit(request, reply.settle)

    def scan(self, principal: Principal, selection: Selection, reply: Reply[Listing]) -> None:
        """A page of the live entries of `selection`. Whoever lists values has to be allowed to
        read them as well.
        """
        space, prefix = selection.namespace, selection.prefix
        self.access.check_prefix(principal, Action.SCAN, space, prefix)
        if selection.give == "entries":
            self.access.check_prefix(principal, Action.READ, space, prefix)
        self._scan(SCAN, selection, reply)

    def export(self, principal: Principal, selection: Selection, reply: Reply[Listing]) -> None:
        """Like `scan`, for whoever shows whole records, their versions included."""
        space, prefix = selection.namespace, selection.prefix
        self.access.check_prefix(principal, Action.EXPORT_RECORDS, space, prefix)
        with self.access.audit.action(principal, Action.EXPORT_RECORDS, space, prefix) as told:
            self._scan(EXPORT, selection, reply)
            reply.latency = told.timing(reply.latency)

    def reserve(self, principal: Principal, operations: int, places: int) -> Reservation:
        """Places for the operations of one list, of which at most `places` are under way at a
        time. Raises Overloaded if there are not so many.
        """
        self.admission.enter(places)
        if principal.allowance is not None:
            principal.allowance.charge_operations(operations)
        return self.reservation(
            self.access, self.admission, self._coordinator, places, self.latencies[LIST]
        )

    def _scan(self, kind: str, selection: Selection, reply: Reply[Listing]) -> None:
        self.admission.enter()
        reply.let_in(self.admission, self.latencies[kind])
        self._coordinator.scan(selection, reply.settle)
