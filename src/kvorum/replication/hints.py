"""Hinted handoff: what this node owes to owners that missed a write it coordinated.

A hint is only a note, "node X lacks the newest record of key K": the record itself is in
this node's own store, so hints of one key coalesce by themselves and replaying one sends
whatever is newest. Notes are durable, one store entry each:

    b"h"  node name, 0x00, storage key   ->   b""

When the owner is reachable its hints are replayed, one window of them at a time; a note is
erased only after the owner's durable ack, and only if the record that was acked is still
the newest (G. DeCandia et al., "Dynamo", 2007, section 4.6).

A node that missed writes must not replace, by a blind write, versions it never saw. So each
side of a fresh link tells the other its standing: `behind` while it holds hints for it. A
node counts as settled with a peer once that peer has said that it is not behind.
"""

from __future__ import annotations

from kvorum.model.record import digest
from kvorum.replication.site import Site, ignore
from kvorum.wire.messages import Standing, Write

_WINDOW = 64
_TIMEOUT_MS = 2000
_PAUSE_S = 0.5


class Hints:
    """The hints this node holds, by the node they are owed to."""

    __slots__ = ("_owed", "_replaying", "_site", "_stopped")

    def __init__(self, site: Site) -> None:
        self._site = site
        self._owed = [self._count(node) for node in range(len(site.topology.nodes))]
        self._replaying: set[int] = set()
        self._stopped = False

    def owed(self, node: int) -> int:
        """How many keys `node` is known to lack the newest record of."""
        return self._owed[node]

    def add(self, node: int, key: bytes) -> None:
        store = self._site.store
        note = self._prefix(node) + key
        if store.get(note) is not None:
            return
        store.put(note, b"", ignore, None)
        self._site.counters.hints_stored += 1
        self._owed[node] += 1
        if self._owed[node] == 1:
            self.announce(node)

    def announce(self, node: int) -> None:
        """Tell `node` whether it is behind, and if it is, begin to catch it up."""
        if not self._site.is_up(node):
            return
        behind = self._owed[node] > 0
        self._site.transport.send(node, Standing(behind))
        if behind and node not in self._replaying:
            self._replaying.add(node)
            self._site.runtime.call_soon(self._replay, node)

    def stop(self) -> None:
        """Replay no more; the notes stay for the node's next life."""
        self._stopped = True

    def _replay(self, node: int) -> None:
        if self._stopped:
            return
        keys = self._page(node, _WINDOW)
        if not self._site.is_up(node):
            self._replaying.discard(node)
        elif keys:
            _Window(self, self._site, node).send(keys)
        else:
            self._replaying.discard(node)
            self._owed[node] = 0
            self.announce(node)

    def on_window_done(self, node: int, complete: bool) -> None:
        """All hints of a window were acked or given up; an incomplete one is tried later."""
        if complete:
            self._site.runtime.call_soon(self._replay, node)
        else:
            self._site.runtime.call_later(_PAUSE_S, self._replay, node)

    def on_acked(self, node: int, key: bytes, sent: bytes) -> None:
        """`node` has the record with digest `sent`, durably."""
        self._site.counters.hints_replayed += 1
        held = self._site.store.get(key)
        if held is not None and digest(held) != sent:
            return
        self._site.store.delete(self._prefix(node) + key, ignore, None)
        self._owed[node] -= 1

    def _prefix(self, node: int) -> bytes:
        return b"h" + self._site.topology.nodes[node].name.encode() + b"\0"

    def _page(self, node: int, limit: int) -> list[bytes]:
        start = self._prefix(node)
        end = start[:-1] + b"\x01"
        return [note[len(start) :] for note, _ in self._site.store.scan(start, end, limit)]

    def _count(self, node: int) -> int:
        return len(self._page(node, 1 << 31))


class _Window:
    """A handful of hinted records on their way to one node."""

    __slots__ = ("_complete", "_hints", "_left", "_node", "_site")

    def __init__(self, hints: Hints, site: Site, node: int) -> None:
        self._hints = hints
        self._site = site
        self._node = node
        self._left = 0
        self._complete = True

    def send(self, keys: list[bytes]) -> None:
        self._left = len(keys)
        for key in keys:
            _HintedWrite(self._site, self, self._node, key).start()

    def on_ended(self, key: bytes, sent: bytes, acked: bool) -> None:
        if acked:
            self._hints.on_acked(self._node, key, sent)
        else:
            self._complete = False
        self._left -= 1
        if self._left == 0:
            self._hints.on_window_done(self._node, self._complete)


class _HintedWrite:
    """One hinted record, as an operation that waits for its owner's ack."""

    __slots__ = ("_key", "_node", "_op", "_sent", "_site", "_window", "ended")

    def __init__(self, site: Site, window: _Window, node: int, key: bytes) -> None:
        self.ended = False
        self._site = site
        self._window = window
        self._node = node
        self._key = key
        self._sent = b""
        self._op = site.next_op()

    def start(self) -> None:
        site = self._site
        site.operations[self._op] = self
        site.deadlines.watch(self, _TIMEOUT_MS)
        data = site.store.get(self._key)
        if data is None:
            # The record is gone from here, so there is nothing left to hand over.
            site.runtime.call_soon(self._end, True)
            return
        self._sent = digest(data)
        site.transport.send(self._node, Write(self._op, self._key, data))

    def on_wrote(self, node: int) -> None:
        self._end(True)

    def on_refused(self, node: int) -> None:
        self._end(False)

    def on_peer_lost(self, node: int) -> None:
        if node == self._node:
            self._end(False)

    def on_deadline(self) -> None:
        self._end(False)

    def _end(self, acked: bool) -> None:
        if not self.ended:
            self.ended = True
            self._site.operations.pop(self._op, None)
            self._window.on_ended(self._key, self._sent, acked)
