"""The security catalog as all nodes share it.

    change        durable here -> sent to every linked node -> durable there -> acknowledged
    link opens    both sides tell the digest of their catalog; who finds that they differ sends all
                  of its entries, then its digest again
    every few s   the digest again, since a message may be lost

What a peer sends counts at once, so that a revoked token is refused even where the disk fails; it
is acknowledged when it is durable. A change that is made here counts when it is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from kvorum.cluster.view import ClusterView
from kvorum.links.transport import Transport
from kvorum.model.errors import ConfigError, ProtocolError, StorageError
from kvorum.model.security_catalog import EntryId, SecurityCatalog, SecurityEntry, check_entry
from kvorum.runtime.ports import Runtime
from kvorum.wire.security_messages import SecurityDigest, SecurityEntries, SecurityKept

ANSWER_S: Final = 1.0
DIGEST_S: Final = 5.0
PIECE_BYTES: Final = 64 << 10


class Spread(NamedTuple):
    """Which nodes hold a change durably, and which have not said so yet; by name."""

    known_by: tuple[str, ...]
    not_yet: tuple[str, ...]


Hear = Callable[[SecurityCatalog, Sequence[EntryId]], object]
Answered = Callable[[Spread | StorageError], object]
Written = Callable[[StorageError | None], object]


class CatalogWriter(Protocol):
    """Makes catalogs durable, one at a time; never calls back before it has returned."""

    def write(self, catalog: SecurityCatalog, written: Written) -> None: ...


class _Change:
    """A change that waits for the nodes to which it was sent."""

    def __init__(self, nodes: Iterable[int], reply: Answered) -> None:
        self.waiting = set(nodes)
        self.known: set[int] = set()
        self.reply = reply


class SharedSecurity:
    """This node's copy of the security catalog."""

    def __init__(
        self,
        view: ClusterView,
        runtime: Runtime,
        transport: Transport,
        writer: CatalogWriter,
        catalog: SecurityCatalog | None = None,
        tell: Callable[[str], object] = lambda _sentence: None,
    ) -> None:
        """`catalog`: what the node's file holds. `tell` is given what people should know."""
        self.catalog = SecurityCatalog() if catalog is None else catalog
        self._view = view
        self._runtime = runtime
        self._transport = transport
        self._writer = writer
        self._tell = tell
        self._hearers: list[Hear] = []
        self._linked: set[int] = set()
        self._heard: set[int] = set()
        self._made: list[tuple[SecurityEntry, Answered]] = []
        self._owed: list[tuple[int, int]] = []
        self._unwritten = False
        self._writing = False
        self._failed = False
        self._stopped = False
        self._op = runtime.rng.getrandbits(32)  # a reply to the last life finds no change
        self._changes: dict[int, _Change] = {}
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            SecurityDigest: self._on_digest,
            SecurityEntries: self._on_entries,
            SecurityKept: self._on_kept,
        }

    def subscribe(self, hear: Hear) -> None:
        """`hear` is told of each new catalog, and which of its entries have changed."""
        self._hearers.append(hear)

    def start(self) -> None:
        """Tell the digest to linked nodes every few seconds, until `stop`."""
        self._later()

    def stop(self) -> None:
        self._stopped = True

    @property
    def told(self) -> bool:
        """True if every linked node has said that its catalog is this one. So it is while no node
        is linked: wait for links first.
        """
        return self._linked <= self._heard

    def enter_first(self, entry: SecurityEntry) -> None:
        """Enter what a cluster begins with, at the first start of a node."""
        self._take([entry])
        self._write_soon()

    def change(self, entry: SecurityEntry, reply: Answered) -> None:
        """Make `entry` durable here, then send it to all linked nodes.

        `reply` is called once: when these have it durable or a second has passed; or with why it is
        not durable here.
        """
        self._made.append((entry, reply))
        self._write_soon()

    # Writing

    def _write_soon(self) -> None:
        if self._writing or not (self._made or self._unwritten):
            return
        self._writing = True
        made, self._made = self._made, []
        owed, self._owed = self._owed, []
        self._unwritten = False
        catalog, _ = self.catalog.merged(entry for entry, _ in made)
        self._writer.write(catalog, lambda error: self._on_written(made, owed, error))

    def _on_written(
        self,
        made: list[tuple[SecurityEntry, Answered]],
        owed: list[tuple[int, int]],
        error: StorageError | None,
    ) -> None:
        self._writing = False
        if error is None:
            self._failed = False
            self._take(entry for entry, _ in made)
            for node, op in owed:
                self._transport.send(node, SecurityKept(op))
            for entry, reply in made:
                self._spread(entry, reply)
        else:
            self._on_failed(error)
            for _, reply in made:
                reply(error)
        self._write_soon()

    def _on_failed(self, error: StorageError) -> None:
        if not self._failed:
            self._tell(f"Tokens, users and roles are not durable on this node. {error.message}")
        self._failed = True

    def _take(self, entries: Iterable[SecurityEntry]) -> None:
        self.catalog, changed = self.catalog.merged(entries)
        if changed:
            self._unwritten = True
            for hear in self._hearers:
                hear(self.catalog, changed)

    # Spreading

    def _spread(self, entry: SecurityEntry, reply: Answered) -> None:
        self._op += 1
        op = self._op
        self._changes[op] = _Change(self._linked, reply)
        for node in self._linked:
            self._transport.send(node, SecurityEntries(op, [entry]))
        self._runtime.call_later(ANSWER_S if self._linked else 0, self._answer, op)

    def _on_kept(self, node: int, message: SecurityKept) -> None:
        change = self._changes.get(message.op)
        if change is not None and node in change.waiting:
            change.waiting.discard(node)
            change.known.add(node)
            if not change.waiting:
                self._answer(message.op)

    def _answer(self, op: int) -> None:
        change = self._changes.pop(op, None)
        if change is None:
            return
        name = self._view.name
        others = self._view.others()
        change.reply(
            Spread(
                (self._view.local_name, *(name(node) for node in others if node in change.known)),
                tuple(name(node) for node in others if node not in change.known),
            )
        )

    # From the network

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open."""
        self._linked.add(node)
        self._send_digest(node)

    def on_peer_lost(self, node: int) -> None:
        """No link to `node` is left."""
        self._linked.discard(node)
        self._heard.discard(node)
        for op, change in list(self._changes.items()):
            change.waiting.discard(node)
            if not change.waiting:
                self._answer(op)

    def _on_digest(self, node: int, message: SecurityDigest) -> None:
        if message.digest != self.catalog.digest:
            for piece in _pieces(self.catalog.entries.values()):
                self._transport.send(node, SecurityEntries(0, piece))
            self._transport.send(node, SecurityDigest(self.catalog.digest))
        else:
            self._heard.add(node)

    def _on_entries(self, node: int, message: SecurityEntries) -> None:
        try:
            for entry in message.entries:
                check_entry(entry)
        except ConfigError as error:
            raise ProtocolError(error.message) from error
        self._take(message.entries)
        if message.op:
            # Also what is there already may be in a write that is under way.
            self._owed.append((node, message.op))
            self._unwritten = True
        self._write_soon()

    def _send_digest(self, node: int) -> None:
        self._transport.send(node, SecurityDigest(self.catalog.digest))

    def _later(self) -> None:
        pause_s = DIGEST_S * (0.5 + self._runtime.rng.random())
        self._runtime.call_later(pause_s, self._on_tick)

    def _on_tick(self) -> None:
        if self._stopped:
            return
        if self._failed:
            self._unwritten = True
            self._write_soon()
        for node in sorted(self._linked):
            self._send_digest(node)
        self._later()


def _pieces(entries: Iterable[SecurityEntry]) -> Iterator[list[SecurityEntry]]:
    """`entries` in lists of about as many bytes as a message should have."""
    piece: list[SecurityEntry] = []
    size = 0
    for entry in entries:
        piece.append(entry)
        size += len(msgspec.msgpack.encode(entry))
        if size >= PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece
