"""Entries: what the audit log says of one action, as the members of a JSON object.

The log makes entries of its own as well, of the kind "log", about itself: that it was started or
stopped, how many entries it had to drop, what a crash left behind, which file it removed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from kvorum.audit.shown_text import NO_KEY, ShowKey, name_shown

LOG: Final = "log"
"""The kind of whoever is named in the log's own entries; the name is the node's."""

OK: Final = "ok"
STARTED: Final = "audit.started"
STOPPED: Final = "audit.stopped"
DROPPED: Final = "audit.dropped"
TORN: Final = "audit.torn"
REMOVED: Final = "audit.removed"

_encode: Final = msgspec.json.Encoder().encode


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Somebody has asked for something, and this came of it.

    `time`: of the node's clock, in UTC. `name`, `kind`, `source`: of the principal. `key_hash`: in
    place of the key, where keys are hashed. `subject`: what an action is about that is no key of an
    entry: a snapshot, a token. `outcome`: "ok", or the code of the error. `times`: how often the
    same was refused or failed within a moment. `detail`: of entries of the log about itself.
    """

    time: str
    node: str
    name: str
    kind: str
    source: str
    action: str
    namespace: str | None = None
    key: str | None = None
    key_hash: str | None = None
    subject: str | None = None
    outcome: str
    times: int = 1
    detail: dict[str, Any] | None = None


class Noted(NamedTuple):
    """What an entry is made of later."""

    wall_ms: int
    name: str
    kind: str
    source: str
    action: str
    namespace: str | None
    key: str | None
    outcome: str
    subject: str | None


class Entries:
    """Makes the entries of a node, as JSON."""

    def __init__(self, node: str, wall_ms: Callable[[], int]) -> None:
        self._node = node
        self._wall_ms = wall_ms

    def of_request(self, noted: Noted, times: int, show_key: ShowKey) -> bytes:
        """What was noted of a request, `times` the same."""
        shown = NO_KEY if noted.key is None else show_key(noted.key)
        return _encode(
            Entry(
                time=time_text(noted.wall_ms),
                node=self._node,
                name=name_shown(noted.name),
                kind=noted.kind,
                source=noted.source,
                action=noted.action,
                namespace=None if noted.namespace is None else name_shown(noted.namespace),
                subject=None if noted.subject is None else name_shown(noted.subject),
                outcome=noted.outcome,
                times=times,
                key=shown.key,
                key_hash=shown.key_hash,
            )
        )

    def of_log(self, action: str, outcome: str = OK, **detail: Any) -> bytes:
        """What the log says of itself."""
        return _encode(
            Entry(
                time=time_text(self._wall_ms()),
                node=self._node,
                name=self._node,
                kind=LOG,
                source="",
                action=action,
                outcome=outcome,
                detail=detail or None,
            )
        )


def time_text(wall_ms: int) -> str:
    """Milliseconds since the Unix epoch as the entries show them: 2026-01-31T09:30:00.000Z. As they
    are, if no calendar has that moment: a clock may have been set to some far age.
    """
    try:
        moment = datetime.fromtimestamp(wall_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{wall_ms} ms"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
