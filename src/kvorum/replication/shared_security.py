"""The security catalog that the nodes of a cluster share: kept by each, sent at once, found again.

    node that is asked                       every node that is linked
    │ durable here, in force                 │
    │── SecurityEntries [the change] ───────>│ merged, durable, in force
    │<───────────────────── SecurityStored ──│
    │── SecurityDigest ─────────────────────>│ when a link opens, and every few seconds
    │<── SecurityEntries [all] ──────────────│ if the digests differ
    │── SecurityEntries [all] ──────────────>│ if that was not all there is

An entry counts on a node when it is durable there, and no earlier: what a node has once refused it
does not accept after a crash. What a node missed while it was away it gets when a link opens.
Merging is commutative and idempotent (`model/security_catalog.py`), so order and repetition do not
matter.

Changes that come while the file is being written share the next writing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.security_catalog import (
    EntryId,
    SecurityCatalog,
    SecurityEntry,
    check_entries,
)
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.runtime.ports import Cancellable
from kvorum.wire.messages import Reply
from kvorum.wire.security_messages import SecurityDigest, SecurityEntries, SecurityStored

SPREAD_MS: Final = 1000
"""How long a change waits for the acknowledgements of other nodes."""
_COMPARE_EVERY_S: Final = 5.0
_APART_S: Final = 0.05
_APART_NODES: Final = 20
_UNASKED: Final = 0
"""The `op` of entries that need no acknowledgement."""

Hear = Callable[[SecurityCatalog, Sequence[EntryId]], object]
_Then = Callable[[StorageError | None], object]


class Spread(NamedTuple):
    """The names of the nodes where a change is durable, and of those where it is not yet."""

    known_by: tuple[str, ...]
    not_yet: tuple[str, ...]


class KeptSecurity(Protocol):
    """Where a node keeps the catalog."""

    @property
    def catalog(self) -> SecurityCatalog:
        """As the last life left it."""

    def write(self, catalog: SecurityCatalog, written: _Then, /) -> None:
        """Make `catalog` durable; `written` is called later, before the next one is given."""


class InMemory:
    """Keeps nothing beyond this life: for a store that no other node is linked with."""

    catalog: Final = SecurityCatalog()

    def __init__(self, call_soon: Callable[..., object]) -> None:
        self._call_soon = call_soon

    def write(self, _catalog: SecurityCatalog, written: _Then) -> None:
        self._call_soon(written, None)


class SharedSecurity:
    """One node's copy of the security catalog. `catalog`: what is in force on it."""

    def __init__(
        self,
        view: ClusterView,
        operations: Operations,
        kept: KeptSecurity,
        tell: Callable[[str], object],
    ) -> None:
        """`tell` is given what people should know."""
        self.catalog = kept.catalog
        self._view = view
        self._operations = operations
        self._kept = kept
        self._tell = tell
        self._hear: list[Hear] = []
        self._queue: list[tuple[Sequence[SecurityEntry], _Then]] = []
        self._writing = False
        self._failed = False
        self._compared: set[int] = set()
        """The nodes that have told their digest since the link to them opened."""
        self._timer: Cancellable | None = None

    def start(self) -> None:
        """Compare with other nodes from now on."""
        self._arm()

    def stop(self) -> None:
        """Send nothing more by itself."""
        if self._timer is not None:
            self._timer.cancel()

    def subscribe(self, hear: Hear) -> None:
        """Have `hear(catalog, ids)` called after each change, whichever node made it."""
        self._hear.append(hear)

    @property
    def told(self) -> bool:
        """True if every node that is linked has shown what it has; never if one has nothing."""
        return all(
            node in self._compared for node in self._view.others() if self._operations.is_up(node)
        )

    # Changes that are made here

    def change(
        self, entry: SecurityEntry, reply: Callable[[Spread | StorageError], object]
    ) -> None:
        """Make `entry` durable here, then at the other nodes. `reply` comes when it is durable at
        all that are linked, or after a second.
        """
        self._merge([entry], partial(self._changed, entry, reply))

    def enter_first(self, entry: SecurityEntry) -> None:
        """Take the first administrator into a catalog that never had an entry."""
        if not self.catalog.entries:
            self._merge([entry], lambda _: None)

    def _changed(
        self,
        entry: SecurityEntry,
        reply: Callable[[Spread | StorageError], object],
        error: StorageError | None,
    ) -> None:
        if error is not None:
            reply(error)
            return
        others = self._view.others()
        asked = [node for node in others if self._operations.is_up(node)]
        _Spreading(self._operations, self._view, reply).ask(entry, asked)

    # What comes from other nodes

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open."""
        self._compared.discard(node)
        self._tell_digest(node)

    def on_digest(self, node: int, message: SecurityDigest) -> None:
        """`node` says what it has; it gets all if that differs."""
        self._compared.add(node)
        if message.digest != self.catalog.digest:
            self._send_all(node)

    def on_entries(self, node: int, message: SecurityEntries) -> None:
        """`node` sends a change, or all that it has."""
        try:
            check_entries(message.entries)
        except ConfigError as error:
            self._tell(
                f"Node {self._view.name(node)} sends tokens, users or roles that cannot be, which "
                f"are not taken: {error.message}"
            )
            return
        self._merge(message.entries, partial(self._merged, node, message))

    def _merged(self, node: int, message: SecurityEntries, error: StorageError | None) -> None:
        if error is not None:
            return
        if message.op != _UNASKED:
            self._operations.transport.send(node, SecurityStored(message.op))
        elif SecurityCatalog(message.entries) != self.catalog:
            self._send_all(node)

    def _tell_digest(self, node: int) -> None:
        """Who has nothing says nothing: it gets what there is from those who say what they have."""
        if self.catalog.entries:
            self._operations.transport.send(node, SecurityDigest(self.catalog.digest))

    def _send_all(self, node: int) -> None:
        entries = list(self.catalog.entries.values())
        self._operations.transport.send(node, SecurityEntries(_UNASKED, entries))

    def _arm(self) -> None:
        """Nodes compare at different moments, so that not all of them do at once."""
        delay_s = _COMPARE_EVERY_S + _APART_S * (self._view.local % _APART_NODES)
        self._timer = self._operations.runtime.call_later(delay_s, self._compare)

    def _compare(self) -> None:
        self._arm()
        for node in self._view.others():
            if self._operations.is_up(node):
                self._tell_digest(node)

    # Merging, one writing after the other

    def _merge(self, entries: Sequence[SecurityEntry], then: _Then) -> None:
        self._queue.append((entries, then))
        if not self._writing:
            self._write()

    def _write(self) -> None:
        queue, self._queue = self._queue, []
        merged, changed = self.catalog.merged([one for entries, _ in queue for one in entries])
        thens = [then for _, then in queue]
        if not changed:
            self._settle(thens, None)
            return
        self._writing = True
        self._kept.write(merged, partial(self._written, merged, changed, thens))

    def _written(
        self,
        merged: SecurityCatalog,
        changed: Sequence[EntryId],
        thens: Sequence[_Then],
        error: StorageError | None,
    ) -> None:
        self._writing = False
        if error is None:
            self.catalog = merged
            for hear in self._hear:
                hear(merged, changed)
        elif not self._failed:
            self._tell(f"A change of tokens, users or roles is not in force here: {error.message}")
        self._failed = error is not None
        self._settle(thens, error)

    def _settle(self, thens: Sequence[_Then], error: StorageError | None) -> None:
        for then in thens:
            then(error)
        if self._queue and not self._writing:
            self._write()


class _Spreading:
    """A change on its way to the other nodes."""

    def __init__(
        self,
        operations: Operations,
        view: ClusterView,
        reply: Callable[[Spread | StorageError], object],
    ) -> None:
        self._operations = operations
        self._view = view
        self._reply = reply
        self._known = {view.local}
        self._open = 0

    def ask(self, entry: SecurityEntry, nodes: Sequence[int]) -> None:
        self._open = len(nodes)
        for node in nodes:
            question = Question(self._operations, node, partial(self._on_reply, node))
            question.ask(SecurityEntries(question.op, [entry]), SPREAD_MS)
        if not nodes:
            self._end()

    def _on_reply(self, node: int, reply: Reply | None) -> None:
        if isinstance(reply, SecurityStored):
            self._known.add(node)
        self._open -= 1
        if not self._open:
            self._end()

    def _end(self) -> None:
        numbers = sorted({self._view.local, *self._view.others()})
        known = tuple(self._view.name(node) for node in numbers if node in self._known)
        missing = tuple(self._view.name(node) for node in numbers if node not in self._known)
        self._reply(Spread(known, missing))
