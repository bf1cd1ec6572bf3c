"""What a change makes of a record: the rules, once everything that is known of the key is at hand.

    Put      replaces what it has seen: what its version covers, or if it has none, all that
             is known here. The same value again makes no new version
    Touch    writes the live versions anew, with another lifetime
    Delete   removes what it has seen, and leaves no version

A change may expect something (If-Match, If-None-Match). What is there is what has not expired
by this node's clock, see `expiry.py`; a version is given its expiry here and carries it from
then on. Every change takes a dot, and only when nothing stands in its way any more: a
coordinator keeps what it has made.
"""

from __future__ import annotations

from kvorum.model.errors import NotFound, PreconditionFailed
from kvorum.model.expiry import NEVER, expiry
from kvorum.model.record import (
    Record,
    Version,
    bury,
    covers,
    delete,
    dominates,
    meet,
    write,
)
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT, Answer, Change, Delete, Put, Touch
from kvorum.model.topology import NamespaceSettings
from kvorum.replication.site import Place, Site


class Changes:
    """Those that one node coordinates."""

    __slots__ = ("_site",)

    def __init__(self, site: Site) -> None:
        self._site = site

    def apply(self, request: Change, place: Place, base: Record) -> tuple[Record, Answer]:
        """The record that `request` makes of `base`, and what to say once it is stored.

        Raises PreconditionFailed, NotFound, DiskFull or StorageError; then nothing was made.
        """
        site, settings = self._site, place.settings
        now_ms = site.runtime.wall_ms() if _is_timed(request, settings, base) else 0
        live = bury(base, now_ms) if now_ms else base
        _check(request, base, live)
        if isinstance(request, Put):
            site.check_room(place.key)
            record = self._put(request, base, _expiry(request, settings, now_ms))
            shown = bury(record, now_ms) if now_ms else record
            return record, Answer(shown, not live.versions)
        if isinstance(request, Touch):
            site.check_room(place.key)
            expires = _expiry(request, settings, now_ms)
            record = self._touch(request, base, _subject(request, live), expires)
            return record, Answer(bury(record, now_ms))
        _subject(request, live)
        return self._delete(request, place.key, base), Answer(live)

    def _put(self, request: Put, base: Record, expires: int) -> Record:
        if len(base.versions) == 1 and not expires and _knows_all(request, base):
            held = base.versions[0]
            if held.value == request.value and held.kind == request.kind and not held.expires:
                # A repeated write: the same version, which still has to reach W replicas.
                return base
        seen = base.context if request.seen is None else request.seen
        return write(base, seen, self._site.mint(), request.kind, request.value, expires)

    def _touch(self, request: Touch, base: Record, live: list[Version], expires: int) -> Record:
        """The oldest first, so that the latest stays the latest."""
        seen = base.context if request.seen is None else meet(request.seen, base.context)
        record = base
        for version in reversed(live):
            dot = self._site.mint()
            record = write(record, seen, dot, version.kind, version.value, expires)
        return record

    def _delete(self, request: Delete, key: bytes, base: Record) -> Record:
        seen = base.context if request.seen is None else request.seen
        if not all(covers(seen, version.dot) for version in base.versions):
            self._site.check_room(key)
        return delete(base, seen, self._site.mint())


def _knows_all(request: Put, base: Record) -> bool:
    """True if `base` knows all that the writer has seen."""
    return request.seen is None or dominates(base.context, request.seen)


def _is_timed(request: Change, settings: NamespaceSettings, base: Record) -> bool:
    """True if what time it is matters; asking costs more than finding out that it does not."""
    if settings.ttl or (not isinstance(request, Delete) and (request.ttl or request.expires)):
        return True
    for version in base.versions:  # noqa: SIM110 - a plain loop is three times faster than any(...)
        if version.expires:
            return True
    return False


def _expiry(request: Put | Touch, settings: NamespaceSettings, now_ms: int) -> int:
    """Of the versions that `request` makes. `now_ms` is 0 where they have none."""
    return expiry(request.ttl, request.expires, settings.ttl, now_ms) if now_ms else NEVER


def _subject(request: Change, live: Record) -> list[Version]:
    """The versions that a delete or touch is about, latest first. Raises NotFound."""
    seen = request.seen
    found = [v for v in live.live_versions() if seen is None or covers(seen, v.dot)]
    if not found:
        raise NotFound(
            "wanted a live version, got none"
            + ("" if seen is None else " that the given valueVersion covers")
        )
    return found


def _check(request: Change, base: Record, live: Record) -> None:
    """Raises PreconditionFailed unless things are as the request expects them.

    An exact version is that of the record with all that has expired in it: expiry is no event,
    and whether a replica has buried something must not show.
    """
    expect = request.expect
    if expect == ANY:
        return
    if expect == ABSENT and live.versions:
        raise PreconditionFailed("wanted no live version (If-None-Match: *), got one")
    if expect == PRESENT and not live.versions:
        raise PreconditionFailed("wanted a live version (If-Match: *), got none")
    if expect == EXACT and request.seen != base.context:
        raise PreconditionFailed(
            "wanted the version given in If-Match, got another one; read the key again"
        )
