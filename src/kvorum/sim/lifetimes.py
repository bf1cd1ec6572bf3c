"""Lifetimes: until when a value has to be seen, though a put or a touch gave it an end.

A put makes one version of its value. A touch makes another, with a lifetime of its own, in
the place of all that its coordinator had met; one that other nodes make at the same time
stays beside it. So a value may have gone as soon as one of its versions may have expired,
but for those that a later touch has replaced beyond doubt:

    the put's own      by any touch that was acknowledged and shows the value
    another touch's    if that was done before this one began

and this holds for whoever has met the later touch. (`Operation.touched_all`: a touch that
carries a version, and may leave some of what is there as it is, replaces nothing for sure.)

Where several puts have written the value it is not known which of them a touch has replaced, so
each may go when it would have gone untouched.

An expiry is given by one clock, no earlier than when it was asked for, and judged by another.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from kvorum.sim.attribution import Attribution
from kvorum.sim.history import Operation


class Lifetimes:
    """Of the values of one key."""

    def __init__(
        self, operations: Iterable[Operation], attribution: Attribution, skew_s: float
    ) -> None:
        """`skew_s`: how far any two clocks of the cluster are apart at most."""
        self._attribution = attribution
        self._skew_s = skew_s
        self.touches = [op for op in operations if op.kind == "touch" and op.outcome != "failed"]
        """Those that took effect or may have."""

    def renewals(self, put: Operation) -> list[Operation]:
        """The touches that may have made a version of the value of `put`."""
        return [t for t in self.touches if t.outcome != "acked" or put.value in t.values]

    def gone_from(self, put: Operation, touches: Iterable[Operation] = ()) -> float:
        """From when on whoever has met `touches` need not see the value of `put` any more."""
        renewing = [t.invoked for t in touches if t.touched_all and put.value in t.values]
        since = max(renewing, default=-inf)
        if self._attribution.is_shared(put.value):
            since = -inf
        versions = [t for t in self.renewals(put) if t.done_by >= since]
        if since == -inf:
            versions.append(put)
        ends = [op.invoked + op.ttl_s for op in versions if op.ttl_s]
        return min(ends, default=inf) - self._skew_s

    def gone_by(self, put: Operation) -> float:
        """When nobody may see the value of `put` any more."""
        if not put.ttl_s or self.renewals(put):
            return inf
        return put.done_by + put.ttl_s + self._skew_s
