"""The durable notes of hinted handoff: which node lacks which key, and which has missed more.

    b"h"  node name, 0x00, storage key   ->   8 bytes made at (ms), 8 bytes topology epoch
    b"m"  node name   ->   b"", or b"lost" if a node of that name came back with an empty disk

They name nodes as people do, so that they mean the same in any topology. A note has no record: that
is in this node's own store, so several writes of a key need one note.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from kvorum.cluster.view import ClusterView
from kvorum.model.prefixes import HINT, HINTS_END, MARK, end_of
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import Done, ignore

_PAGE: Final = 4096
_LOST: Final = b"lost"
_NOTE: Final = struct.Struct(">QQ")


class FoundNote(NamedTuple):
    """A note that `node` lacks `key`; None if it is gone. `stored_key`: the note's own key."""

    node: int | None
    key: bytes
    made_ms: int
    stored_key: bytes


class HintNotes:
    """The notes in this node's store, about all other nodes."""

    def __init__(self, view: ClusterView, replica: LocalReplica) -> None:
        self._view = view
        self._replica = replica
        self._names = {spec.number: spec.name.encode() for spec in view.topology.nodes}
        self._nodes = {name: node for node, name in self._names.items()}

    # Which node lacks a key

    def has(self, node: int, key: bytes) -> bool:
        """True if there is a note that `node` lacks `key`."""
        return self._replica.store.get(self._prefix(node) + key) is not None

    def put(self, node: int, key: bytes, made_ms: int, done: Done, arg: Any) -> None:
        """Note that `node` lacks `key`; `done(arg, error)` once that is durable."""
        note = _NOTE.pack(made_ms, self._view.topology.epoch)
        self._replica.store.put(self._prefix(node) + key, note, done, arg)

    def erase(self, node: int, key: bytes) -> None:
        """Erase the note that `node` lacks `key`."""
        self.erase_stored(self._prefix(node) + key)

    def erase_stored(self, stored_key: bytes) -> None:
        """Erase the note that is stored at `stored_key`."""
        self._replica.store.delete(stored_key, ignore, None)

    def page(self, node: int, cursor: bytes, limit: int) -> list[bytes]:
        """The first `limit` keys that `node` lacks, from the storage key `cursor` on."""
        start = self._prefix(node)
        end = start[:-1] + b"\x01"
        found = self._replica.store.scan(start + cursor, end, limit)
        return [note[len(start) :] for note, _ in found]

    def all(self) -> Iterator[FoundNote]:
        """All notes that a node lacks a key."""
        start = HINT
        while notes := self._replica.store.scan(start, HINTS_END, _PAGE):
            start = notes[-1][0] + b"\0"
            for stored_key, made in notes:
                name, _, key = stored_key[1:].partition(b"\0")
                made_ms = _NOTE.unpack(made)[0] if len(made) == _NOTE.size else 0
                yield FoundNote(self._nodes.get(name), key, made_ms, stored_key)

    def node_of(self, stored_key: bytes) -> int | None:
        """The node that a note is about; None if the topology no longer has it."""
        return self._nodes.get(stored_key[1 : stored_key.index(0)])

    # Which node has missed more

    def is_marked(self, node: int) -> bool:
        """True if `node` is noted to have missed more."""
        return self._replica.store.get(self._mark(node)) is not None

    def mark(self, node: int) -> None:
        """Note that `node` has missed more."""
        self._replica.store.put(self._mark(node), b"", ignore, None)

    def mark_lost(self, node: int, done: Done, arg: Any) -> None:
        """Note that `node` has lost its disk; `done(arg, error)` once that is durable."""
        self._replica.store.put(self._mark(node), _LOST, done, arg)

    def unmark(self, node: int) -> None:
        """Erase the note that `node` has missed more."""
        self._replica.store.delete(self._mark(node), ignore, None)

    def marks(self) -> Iterator[tuple[int, bool]]:
        """(node, whether its disk was lost) of all nodes that are marked."""
        for mark, kind in self._replica.store.scan(MARK, end_of(MARK), len(self._names) + 1):
            node = self._nodes.get(mark[1:])
            if node is not None:
                yield node, kind == _LOST

    def _prefix(self, node: int) -> bytes:
        return HINT + self._names[node] + b"\0"

    def _mark(self, node: int) -> bytes:
        return MARK + self._names[node]
