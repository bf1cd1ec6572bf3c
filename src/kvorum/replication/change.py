"""Changes: the rules by which a put, a touch or a delete makes a new record of a key.

    Put      replaces the versions that its own version covers, or if it carries none, all that are
             known here. The same value again makes no new version, where the existing one is known
             to be in force still (see below)
    Touch    writes the live versions anew, with another lifetime
    Delete   removes the versions that its own version covers, and leaves none

A coordinator decides on a base: its own record, or what it has read from others, merged. What the
base has may have been replaced elsewhere. So a decision that makes nothing new is sound only where
the base covers all that the request has seen, and for a blind write all that was acknowledged
before it:

    the existing version     is the answer to the same value only then; else a new version is
                             made, which wins over what the writer has seen
    a delete                 finds nothing only then; else it leaves its tombstone all the same
    a touch, an exact        are refused, unless all owners were read: then no owner has what
    condition                the request has seen

Siblings are bounded here, before anything is made: the versions of a key that one coordinator has.
Merges are not bounded by that (concurrent writes on several sides of a partition add up), so a
write that resolves siblings, or a delete, is never refused.

A change may expect something (If-Match, If-None-Match). It is judged by the versions that have not
expired by this node's clock (`replica/expiry.py`). A version is given its expiry here, if that
clock can be relied on, and carries it from then on. Every change takes a dot, and only when nothing
can refuse it any more: a coordinator keeps what it has made.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kvorum.cluster.clocks import Clocks
from kvorum.cluster.view import Place
from kvorum.model.errors import NotFound, PreconditionFailed, TooManySiblings, UnavailableError
from kvorum.model.expiry import NEVER, expiry, is_given
from kvorum.model.record import (
    Context,
    Record,
    Version,
    covers,
    delete,
    dominates,
    expire,
    meet,
    write,
)
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT, Answer, Change, Delete, Put, Touch
from kvorum.model.topology import NamespaceSettings
from kvorum.replica.local_replica import LocalReplica


class SiblingBounds(NamedTuple):
    """How many versions of a key, and bytes in their values, a coordinated write may leave."""

    versions: int = 100
    bytes: int = 8 << 20


SIBLING_BOUNDS: Final = SiblingBounds()

QUORUM: Final = 0
ALL: Final = 1
DAMAGED: Final = 2
"""How far a base reaches: it covers what a quorum of the owners holds; what all of them hold; what
is left of a key that is damaged on so many owners that no quorum can be read.
"""


class Changes:
    """Makes the new records of the changes that one node coordinates."""

    __slots__ = ("_clocks", "_replica", "_siblings")

    def __init__(self, replica: LocalReplica, clocks: Clocks, siblings: SiblingBounds) -> None:
        self._siblings = siblings
        self._replica = replica
        self._clocks = clocks

    def apply(
        self, request: Change, place: Place, base: Record, reach: int = QUORUM
    ) -> tuple[Record, Answer]:
        """The record that `request` makes of `base`, and the answer to give once it is stored.

        `reach` of `base`: QUORUM, ALL or DAMAGED. Raises PreconditionFailed, NotFound,
        TooManySiblings, UnavailableError, DiskFull, ClockWrong or StorageError; then nothing was
        made.
        """
        settings = place.settings
        is_timed = _is_timed(request, settings, base)
        if not is_timed and type(request) is Put and request.seen is None and request.expect == ANY:
            # As nearly all are: nothing to be compared, and nothing that expires.
            record = self._put(request, place.key, base, NEVER)
            return record, Answer(record, not base.versions)
        now_ms = self._clocks.now_ms() if is_timed else 0
        live = expire(base, now_ms) if now_ms else base
        _check(request, base, live, reach)
        if isinstance(request, Put):
            expires = self._expiry(request, settings, now_ms)
            record = self._put(request, place.key, base, expires)
            shown = expire(record, now_ms) if now_ms else record
            return record, Answer(shown, not live.versions)
        if isinstance(request, Touch):
            self._replica.check_room(place.key)
            expires = self._expiry(request, settings, now_ms)
            if reach != ALL and not _covers_seen(request, base):
                raise _unseen(request)
            subject = _subject(request, live)
            record = self._touch(request, place.key, base, subject, expires)
            return record, Answer(expire(record, now_ms))
        if reach != DAMAGED and _covers_seen(request, base):
            _subject(request, live)
        record = self._delete(request, place.key, base)
        return record, Answer(live if live.versions else record)

    def _expiry(self, request: Put | Touch, settings: NamespaceSettings, now_ms: int) -> int:
        """The expiry of the versions that `request` makes. `now_ms` is 0 where they have none."""
        if is_given(request.ttl, request.expires, settings.ttl):
            self._replica.check_clock()
        return expiry(request.ttl, request.expires, settings.ttl, now_ms) if now_ms else NEVER

    def _put(self, request: Put, key: bytes, base: Record, expires: int) -> Record:
        self._replica.check_room(key)
        seen = request.seen
        if seen is None:
            seen = base.context
        elif not expires and holds_just(base, request) and dominates(base.context, seen):
            # A repeated write: the same version, which still has to reach W replicas.
            return base
        else:
            self._check_siblings(request, base, seen)
        return write(base, seen, self._replica.mint(key), request.kind, request.value, expires)

    def _check_siblings(self, request: Put, base: Record, seen: Context) -> None:
        """Raises TooManySiblings, unless the write leaves less than there is."""
        beside = [len(v.value) for v in base.versions if not covers(seen, v.dot)]
        if not beside:
            return
        versions, size = len(beside) + 1, sum(beside) + len(request.value)
        bounds = self._siblings
        if versions <= bounds.versions and size <= bounds.bytes:
            return
        if versions <= len(base.versions) and size <= sum(len(v.value) for v in base.versions):
            return
        raise TooManySiblings(
            f"The key {request.key!r} has {len(beside)} concurrent versions of {sum(beside)} bytes "
            f"beside this one; at most {bounds.versions} versions and {bounds.bytes} bytes are "
            "kept. Read the key, resolve the siblings, and write with the version that was read.",
            siblings=len(beside),
        )

    def _touch(
        self, request: Touch, key: bytes, base: Record, live: list[Version], expires: int
    ) -> Record:
        """The oldest first, so that the latest stays the latest."""
        seen = base.context if request.seen is None else meet(request.seen, base.context)
        record = base
        for version in reversed(live):
            dot = self._replica.mint(key)
            record = write(record, seen, dot, version.kind, version.value, expires)
        return record

    def _delete(self, request: Delete, key: bytes, base: Record) -> Record:
        seen = base.context if request.seen is None else request.seen
        if not all(covers(seen, version.dot) for version in base.versions):
            self._replica.check_room(key)
        return delete(base, seen, self._replica.mint(key))


def holds_just(base: Record, request: Put) -> bool:
    """True if the only version of `base` has the value of `request`, and never expires."""
    if len(base.versions) != 1:
        return False
    held = base.versions[0]
    return held.value == request.value and held.kind == request.kind and not held.expires


def _covers_seen(request: Change, base: Record) -> bool:
    """True if `base` has all that the writer has seen."""
    return request.seen is None or dominates(base.context, request.seen)


def _unseen(request: Change) -> UnavailableError:
    return UnavailableError(
        f"None of the replicas that could be read has the version given for {request.key!r}. "
        "Retry when more of the key's owners are up, or read the key again."
    )


def _is_timed(request: Change, settings: NamespaceSettings, base: Record) -> bool:
    """True if the result depends on the time; to ask for it costs more than to find this out."""
    if settings.ttl or (not isinstance(request, Delete) and (request.ttl or request.expires)):
        return True
    for version in base.versions:  # noqa: SIM110 - a plain loop is three times faster than any(...)
        if version.expires:
            return True
    return False


def _subject(request: Change, live: Record) -> list[Version]:
    """The versions that a delete or touch is about, latest first. Raises NotFound."""
    seen = request.seen
    found = [v for v in live.live_versions() if seen is None or covers(seen, v.dot)]
    if not found:
        raise NotFound(
            f"No such key: {request.key!r}."
            if seen is None
            else f"The key {request.key!r} has no live version that the given one covers."
        )
    return found


def _check(request: Change, base: Record, live: Record, reach: int) -> None:
    """Raises PreconditionFailed unless the record is as the request expects it; UnavailableError
    where the base lacks what the request has seen, so that this cannot be told.

    An exact version is that of the record with all expired versions in it: expiry is no event, and
    must not show, nor whether a replica has removed the version yet.
    """
    expect = request.expect
    if expect == ANY:
        return
    if expect == ABSENT and live.versions:
        raise PreconditionFailed(f"The key {request.key!r} exists already.")
    if expect == PRESENT and not live.versions:
        raise PreconditionFailed(f"No such key: {request.key!r}.")
    if expect == EXACT and request.seen is not None and request.seen != base.context:
        if reach != ALL and dominates(request.seen, base.context):
            raise _unseen(request)
        raise PreconditionFailed(
            f"The key {request.key!r} has another version than the given one. Read the key again."
        )
