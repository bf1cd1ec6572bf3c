"""The sweep: a walk over this node's records that removes versions which have expired
(`expiry.py`).

    at start       the walk that builds the hash trees also learns when versions expire
    once due       a version has expired, and the last sweep ended an interval ago (`upkeep.py`), or
                   longer if it took long: all records are walked, at the pace of all background
                   work. The versions that are left tell when the next sweep has something to do
    otherwise      nothing: a node without lifetimes never sweeps

A record that is left without versions is a tombstone, and is collected like any other.
"""

from __future__ import annotations

from typing import Final

from kvorum.operations.operations import Operations
from kvorum.repair.walk import Walk
from kvorum.replica.expiry import Pairs
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.removal import remove_expired

_BEATS: Final = 8
"""So many times in an interval it is checked whether something is due."""
_REST: Final = 9
"""So many times as long as a sweep took there is no other: a large store is not walked all the
time.
"""


class Sweep:
    """Removes expired versions from this node's records, whenever there are some."""

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
        """The walk at start has come across `records`, all that there are before `upto`."""
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
        self._replica.expiries.meet(remove_expired(self._replica, records), upto)
        # The walk pauses for what it has read; what was written counts as well.
        self._operations.pace.pause_s(self._operations.counters.versions_expired - before)
        if self._walk is not None and self._walk.ended:
            self._walk = None
            now = self._operations.runtime.now()
            self._due_at = now + max(self._interval_s, _REST * (now - self._began_at))
