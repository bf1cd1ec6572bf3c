"""The lifetimes of versions on one node: expired versions are hidden at once, and removed later.

    expired     the moment of the version has passed. Clients no longer see it: a read, a scan, a
                precondition and a delete leave it out by the node's own wall clock, whether or not
                a replica still stores it. So an answer never depends on background work
    removed     a replica takes the version out of its record and keeps the context. What is left
                is what a delete leaves, a tombstone. Only the sweep and inventories do this
                (`removal.py`), and not before SKEW_MS have passed
    collected   the tombstone is deleted, as all tombstones are (`repair/collection.py`)

Expiry hides, the sweep removes, collection forgets.

Replicas remove at different times. Why they agree in the end, and why nothing comes back:

    equal contexts   a merge keeps the versions that both records have, so the record from which
                     more was removed wins on every path: read repair, hints, anti-entropy, a late
                     write. Each step goes from a record to one with the same context and fewer
                     versions, so two replicas cannot hand a record to and fro
    other contexts   what one side has removed, its context covers, so a merge drops it from the
                     other. Where one context dominates, its record is taken as it is, and may bring
                     a removed version back: it has expired, nobody is shown it, and it is removed
                     again
    equal bytes      a record without versions is its context, so owners that have removed all hold
                     the same digest whenever they did it, and the tombstone can be collected
    no exchange      a node that lists its records for a comparison first removes what is due in the
                     range, so a replica that has swept costs one that has not a list of keys, and
                     not the records

Clocks differ. A node whose clock is ahead hides a version that others still show, and two reads
through different nodes differ for as long as their clocks do. But what is removed on one node is
removed on all. Hence the delay: a clock may be SKEW_MS ahead of the slowest before its node takes
anything away that another node would still show. A node whose clock is further away from the
others' removes nothing; if the others agree on another time, expiry is judged by that time
(`cluster/clocks.py`). Writes do not remove expired versions either: they replace what their version
covers, expired or not.

To look for expired versions costs a walk over the store. `Expiries` knows whether there is anything
to look for: the soonest expiry it has heard of. An encoded record ends with the expiry of its last
version, and milliseconds since 1970 are nine bytes of MessagePack, so a look at one byte tells;
where a record has several versions it is decoded anyway.
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


def is_plainly_live(data: bytes) -> bool:
    """True if the encoded record `data` certainly has a version that never expires: its last one.
    Of others it is not known.
    """
    return not data[-1] and data[-9:-8] != UINT64


def visible(record: Record, clocks: Clocks) -> Record:
    """`record` without the versions that have expired by `clocks`.

    The time is asked for only where a version may expire.
    """
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

    For a damaged record it is 0, too: it is replaced when the damage is found.
    """
    try:
        versions = _glance.decode(body_of(data)).versions
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return min([v.expires for v in versions if v.expires], default=0)


class Expiries:
    """The soonest moment at which one of this node's versions expires, as far as it is known."""

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
        """A version expires at `expires` (ms); 0 is never."""
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
        """Versions that expire up to this moment (ms of wall clock) may be removed. None if there
        are none, or this node's clock is no good to judge by.
        """
        due_ms = self._clocks.now_ms() - SKEW_MS
        return due_ms if self._soonest <= due_ms and self._clocks.may_remove else None
