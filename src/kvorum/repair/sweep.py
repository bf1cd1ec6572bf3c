"""The sweep: a walk over this node's records that expires what has expired (`expiry.py`).

    at start       the walk that builds the trees also learns what expires, and when
    once due       something has expired, and the last sweep ended an interval ago (`upkeep.py`),
                   or longer if it took long: all records are walked, at the pace of all
                   background work; what is left tells when the next has something to do
    otherwise      nothing: a node without lifetimes never sweeps

What is left of a record without versions is a tombstone, and the tombstones sees it put.
"""

from __future__ import annotations

from typing import Final

from kvorum.operations.operations import Operations
from kvorum.repair.walk import Walk
from kvorum.replica.expiration import bury_expired
from kvorum.replica.expiry import Pairs
from kvorum.replica.local_replica import LocalReplica

_BEATS: Final = 8
"""In an interval: how often it is asked whether something is due."""
_REST: Final = 9
"""Times as long as a sweep took there is none: a large store is not walked all the time."""


class Sweep:
    __slots__ = (
        "_began_at",
        "_due_at",
        "_interval_s",
        "_operations",
        "_replica",
        "_stopped",
        "_walk",
    )

    def __init__(self, replica: LocalReplica, operations: Operations, interval_s: float) -> None:
        self._replica = replica
        self._operations = operations
        self._interval_s = interval_s
        self._began_at = 0.0
        self._due_at = operations.runtime.now() + interval_s
        self._walk: Walk | None = None
        self._stopped = False

    def start(self) -> None:
        self._operations.runtime.call_later(self._interval_s / _BEATS, self._beat)

    def stop(self) -> None:
        self._stopped = True
        if self._walk is not None:
            self._walk.stop()

    def learn(self, records: Pairs, upto: bytes) -> None:
        """What the walk at start has come across."""
        self._replica.expiries.meet(records, upto)

    def _beat(self) -> None:
        if self._stopped:
            return
        idle = (
            self._walk is None and self._replica.trees.built and self._replica.store.failed is None
        )
        if (
            idle
            and self._operations.runtime.now() >= self._due_at
            and self._replica.expiries.deadline() is not None
        ):
            self._began_at = self._operations.runtime.now()
            self._replica.expiries.begin()
            self._walk = Walk(self._replica, self._operations, self._meet)
            self._walk.start()
        self._operations.runtime.call_later(self._interval_s / _BEATS, self._beat)

    def _meet(self, records: Pairs, upto: bytes) -> None:
        before = self._operations.counters.versions_expired
        self._replica.expiries.meet(bury_expired(self._replica, records), upto)
        # The walk pauses for what it has read; what was written counts as well.
        self._operations.pace.pause_s(self._operations.counters.versions_expired - before)
        if self._walk is not None and self._walk.ended:
            self._walk = None
            now = self._operations.runtime.now()
            self._due_at = now + max(self._interval_s, _REST * (now - self._began_at))
