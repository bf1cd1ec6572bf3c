"""The sweep: a walk over this node's records that buries what has expired (`expiry.py`).

    at start       the walk that builds the trees also learns what expires, and when
    once due       something has expired, and the last sweep ended an interval ago (`upkeep.py`),
                   or longer if it took long: all records are walked, at the pace of all
                   background work; what is left tells when the next has something to do
    otherwise      nothing: a node without lifetimes never sweeps

What is left of a record without versions is a tombstone, and the graveyard sees it put.
"""

from __future__ import annotations

from typing import Final

from kvorum.replication.burial import bury_expired
from kvorum.replication.expiry import Pairs
from kvorum.replication.replica import Replica
from kvorum.replication.site import Site
from kvorum.replication.walk import Walk

_BEATS: Final = 8
"""In an interval: how often it is asked whether something is due."""
_REST: Final = 9
"""Times as long as a sweep took there is none: a large store is not walked all the time."""


class Sweep:
    __slots__ = ("_began_at", "_due_at", "_interval_s", "_replica", "_site", "_stopped", "_walk")

    def __init__(self, site: Site, replica: Replica, interval_s: float) -> None:
        self._site = site
        self._replica = replica
        self._interval_s = interval_s
        self._began_at = 0.0
        self._due_at = site.runtime.now() + interval_s
        self._walk: Walk | None = None
        self._stopped = False

    def start(self) -> None:
        self._site.runtime.call_later(self._interval_s / _BEATS, self._beat)

    def stop(self) -> None:
        self._stopped = True
        if self._walk is not None:
            self._walk.stop()

    def learn(self, records: Pairs, upto: bytes) -> None:
        """What the walk at start has come across."""
        self._site.expiries.meet(records, upto)

    def _beat(self) -> None:
        if self._stopped:
            return
        site = self._site
        idle = self._walk is None and site.trees.built and site.store.failed is None
        if idle and site.runtime.now() >= self._due_at and site.expiries.deadline() is not None:
            self._began_at = site.runtime.now()
            site.expiries.begin()
            self._walk = Walk(site, self._replica, self._meet)
            self._walk.start()
        site.runtime.call_later(self._interval_s / _BEATS, self._beat)

    def _meet(self, records: Pairs, upto: bytes) -> None:
        site = self._site
        before = site.counters.versions_buried
        site.expiries.meet(bury_expired(site, records), upto)
        # The walk pauses for what it has read; what was written counts as well.
        site.pace.pause_s(site.counters.versions_buried - before)
        if self._walk is not None and self._walk.ended:
            self._walk = None
            now = site.runtime.now()
            self._due_at = now + max(self._interval_s, _REST * (now - self._began_at))
