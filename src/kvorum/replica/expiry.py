"""Expiry on a node: versions that have expired are hidden at once, and expired in time.

    hidden   whoever answers a client (a read, a scan, a precondition, a delete that asks what
             is there) leaves out what has expired by its own wall clock, whether or not a
             replica still has it. So an answer never depends on what background work has done.
    expired   a replica takes the version out of its record and keeps the context: what is left
             is what a delete leaves, and goes the way of all tombstones (`collection.py`).
             Only the sweep and inventories do this, and not before SKEW_MS have passed.

Why replicas that expire at different times agree in the end, and nothing comes back:

    equal contexts   merge keeps the versions that both have, so the record that has expired
                     more wins on every path: read repair, hints, anti-entropy, a late write.
                     Each step goes from a record to one with the same context and fewer
                     versions, so two replicas cannot hand a record to and fro.
    other contexts   what one side has expired, its context covers, so a merge drops it from
                     the other. Where one context dominates, its record is taken as it is, and
                     may bring a expired version back: it has expired, nobody is shown it, and
                     it is expired again.
    equal bytes      a record without versions is its context, so owners that have expired hold
                     the same digest whenever they did it, and it can be collected.
    no exchange      whoever lists its records for a comparison first expires what is due in the
                     range, so a replica that has swept costs one that has not a list of keys,
                     and not the records.

Clocks differ. A node whose clock is ahead hides a version that others still show; so do two
reads through different nodes differ for as long as their clocks do. It must not destroy it for
the others: what is expired here is expired everywhere. Hence the delay: a clock may be SKEW_MS
ahead of the slowest before it takes anything away that another node would still show. A clock
that is further away from the others' expires nothing; if they agree on another time, what has
expired is judged by that (`cluster/clocks.py`).
Writes never expire either: they replace what their version covers, expired or not.

Looking for what has expired costs a walk over the store. `Expiries` knows whether there is
anything to look for: the soonest expiry it has heard of. An encoded record ends with the
expiry of its last version, and milliseconds since 1970 are nine bytes of MessagePack, so a
glance at one byte tells; where a record has several versions it is decoded anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from kvorum.cluster.clocks import SKEW_MS, Clocks
from kvorum.model.record import Record, body_of, expire
from kvorum.replica.trees import END

UINT64: Final = b"\xcf"
"""What stands nine bytes before the end of a record whose last version expires."""
_UNKNOWN: Final = 0
_NONE: Final = 1 << 64

Pairs = list[tuple[bytes, bytes]]


def visible(record: Record, clocks: Clocks) -> Record:
    """`record` without what has expired. The time is asked for only where something may have."""
    for version in record.versions:
        if version.expires:
            return expire(record, clocks.now_ms())
    return record


class _Version(msgspec.Struct, array_like=True, frozen=True, gc=False):
    dot: msgspec.Raw
    kind: int
    value: msgspec.Raw
    expires: int = 0


class _Body(msgspec.Struct, array_like=True, frozen=True, gc=False):
    context: msgspec.Raw
    versions: list[_Version]


_glance = msgspec.msgpack.Decoder(_Body)


def soonest_expiry(data: bytes) -> int:
    """The first moment at which a version of the encoded record expires; 0 if none does.

    A damaged record has none: whoever finds the damage replaces it.
    """
    try:
        versions = _glance.decode(body_of(data)).versions
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return min([v.expires for v in versions if v.expires], default=0)


class Expiries:
    """What a node knows of when its versions expire."""

    __slots__ = ("_clocks", "_met", "_soonest")

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        # Until the walk at start has seen everything, anything may be due.
        self._soonest = _UNKNOWN
        # Of what a walk has come across so far, and what was written meanwhile.
        self._met = _NONE

    def see(self, data: bytes) -> None:
        """A record is stored that has UINT64 in its place. (A value may have it there, too.)"""
        self.note(int.from_bytes(data[-8:]))

    def see_all(self, record: Record) -> None:
        """A record is stored in which also others than the last version may expire."""
        for version in record.versions:
            self.note(version.expires)

    def note(self, expires: int) -> None:
        if expires:
            self._soonest = min(self._soonest, expires)
            self._met = min(self._met, expires)

    def begin(self) -> None:
        """A walk begins; there may be no other."""
        self._met = _NONE

    def meet(self, records: Iterable[tuple[bytes, bytes]], upto: bytes) -> None:
        """A walk has come to before `upto`; what is there by now are `records`."""
        for _, data in records:
            self.note(soonest_expiry(data))
        if upto >= END:
            self._soonest, self._met = self._met, _NONE

    def deadline(self) -> int | None:
        """What expires until this moment may be expired; None if nothing does, or may be by our
        clock.
        """
        due_ms = self._clocks.now_ms() - SKEW_MS
        return due_ms if self._soonest <= due_ms and self._clocks.may_expire else None
