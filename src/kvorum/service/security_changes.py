"""Changes of the security catalog, one after another.

A change is made of the catalog as it is when its turn comes, and the next one's turn comes when
it is durable here. So two requests at once do not overlook each other on this node: not both can
remove one of the last two administrators.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from kvorum.model.errors import ConfigError, KvorumError, Overloaded, RequestError
from kvorum.model.security_catalog import EntryId, EntryKind, SecurityCatalog, SecurityEntry
from kvorum.model.security_values import Value

WAITING_MAX: Final = 256
_RETRY_S: Final = 1


class Spread(Protocol):
    """Which nodes know of a change, by name, and which do not yet."""

    @property
    def known_by(self) -> tuple[str, ...]: ...

    @property
    def not_yet(self) -> tuple[str, ...]: ...


class SharedCatalog(Protocol):
    """The security catalog that all nodes of the cluster share."""

    @property
    def catalog(self) -> SecurityCatalog:
        """As it is durable here."""

    def subscribe(self, hear: Callable[[SecurityCatalog, Sequence[EntryId]], object], /) -> None:
        """Have `hear(catalog, ids)` called after each change that is durable here."""

    def change(
        self, entry: SecurityEntry, reply: Callable[[Spread | KvorumError], object], /
    ) -> None:
        """`reply` when the change is durable here, and at the nodes that are linked or late."""


ChangeReply = Callable[[Spread | KvorumError], object]
MakeEntry = Callable[[SecurityCatalog, int], SecurityEntry]
"""(the catalog as it is, milliseconds since 1970)"""


class _Change(NamedTuple):
    make: MakeEntry
    reply: ChangeReply


class SecurityChanges:
    """Changes the catalog that is shared. `origin`: the number of this node."""

    def __init__(self, shared: SharedCatalog, wall_ms: Callable[[], int], origin: int) -> None:
        self._shared = shared
        self._wall_ms = wall_ms
        self._origin = origin
        self._waiting: deque[_Change] = deque()
        self._under_way: SecurityEntry | None = None
        shared.subscribe(self._on_catalog)

    @property
    def catalog(self) -> SecurityCatalog:
        """As it is now."""
        return self._shared.catalog

    def put(self, value_of: Callable[[SecurityCatalog, int], Value], reply: ChangeReply) -> None:
        """Make or replace what `value_of(catalog, now_ms)` returns when its turn comes; it may
        raise a KvorumError. `reply` takes that error, too, perhaps before this returns. Raises
        Overloaded.
        """
        self._enter(
            lambda catalog, now_ms: catalog.putting(
                value_of(catalog, now_ms), now_ms, self._origin
            ),
            reply,
        )

    def remove(self, kind: EntryKind, name: str, reply: ChangeReply) -> None:
        """Remove an entry. `reply` takes NotFound, too. Raises Overloaded."""
        self._enter(
            lambda catalog, now_ms: catalog.removing(kind, name, now_ms, self._origin), reply
        )

    def _enter(self, make: MakeEntry, reply: ChangeReply) -> None:
        if len(self._waiting) >= WAITING_MAX:
            raise Overloaded(
                f"{WAITING_MAX} changes of tokens, users and roles are waiting on this node. "
                "Retry later.",
                retry_after=_RETRY_S,
            )
        self._waiting.append(_Change(make, reply))
        if self._under_way is None:
            self._next()

    def _next(self) -> None:
        while self._waiting:
            change = self._waiting.popleft()
            try:
                entry = change.make(self._shared.catalog, self._wall_ms())
            except ConfigError as error:
                change.reply(refused(error))
            except KvorumError as error:
                change.reply(error)
            else:
                self._under_way = entry
                self._shared.change(entry, partial(self._done, entry, change.reply))
                return

    def _on_catalog(self, catalog: SecurityCatalog, _changed: Sequence[EntryId]) -> None:
        """The next one need not wait until other nodes have it, too."""
        entry = self._under_way
        if entry is not None and catalog.entries.get(entry.id) is entry:
            self._end(entry)

    def _done(self, entry: SecurityEntry, reply: ChangeReply, result: Spread | KvorumError) -> None:
        reply(result)
        self._end(entry)

    def _end(self, entry: SecurityEntry) -> None:
        if self._under_way is entry:
            self._under_way = None
            self._next()


def refused(error: ConfigError) -> RequestError:
    """What whoever asked is told: it is the request that cannot be carried out."""
    return RequestError(error.message)
