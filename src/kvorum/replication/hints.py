"""Hinted handoff: what this node owes to owners that missed a write.

A hint is only a note, "node X lacks the newest record of key K": the record itself is in
this node's own store, so hints of one key coalesce by themselves and replaying one sends
whatever is newest. Notes are durable, one store entry each:

    b"h"  node name, 0x00, storage key   ->   8 bytes made at (ms), 8 bytes topology epoch

There are two ways to come by one. A coordinator that is an owner notes who did not
acknowledge: then the note is a convenience, since the owners' own repair would find the
difference. Or, under a sloppy quorum, a node that is no owner stores the record in the place
of one (a handoff): then its copy may be the only one, so its note never expires, and its copy
stays until the owner has acknowledged it.

When the owner is reachable its hints are replayed, a window of them at a time, with pauses
that follow the foreground's latency (`pace.py`). A note is erased only after the owner's
durable ack, and only if the record that was acked is still the newest (G. DeCandia et al.,
"Dynamo", 2007, section 4.6). Hints for a node that the topology no longer has go to the
owners of today.

Notes of the first kind are bounded in number and age. Beyond the bounds the node is marked
instead: it has missed more than is noted, and only a full comparison can settle it.

    b"m"  node name   ->   b"", or b"lost" if a node of that name came back with an empty disk

A node that missed writes must not replace, by a blind write, versions it never saw. So each
side of a fresh link tells the other its standing: `behind` while it holds hints or a mark for
it. A node counts as settled with a peer once that peer has said that it is not behind. A node
that crashed may have forgotten notes that were not synced; so it calls all others behind until
it has compared with them.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kvorum.model.errors import Overloaded, StorageError
from kvorum.model.record import decode, digest
from kvorum.replication.site import Site, ignore
from kvorum.storage.store import Done
from kvorum.wire.messages import Standing, Write

HINTS_MAX: Final = 1_000_000
HINT_AGE_MAX_MS: Final = 3 * 3600 * 1000
HANDOFF_BYTES_MAX: Final = 1 << 30

_WINDOW: Final = 16
_TIMEOUT_MS: Final = 2000
_PAUSE_S: Final = 0.5
_LOST: Final = b"lost"
_NOTE: Final = struct.Struct(">QQ")


class _Debt:
    """What is owed to one node."""

    __slots__ = (
        "cursor",
        "lost",
        "marked",
        "met",
        "missed_at",
        "pending",
        "per_second",
        "replaying",
        "since_ms",
        "unsure",
        "whole",
    )

    def __init__(self) -> None:
        self.pending = 0
        self.since_ms = 0
        """When the oldest note was made, or an older one that is gone."""
        self.marked = False
        self.lost = False
        self.unsure = False
        self.met = False
        self.whole = False
        self.missed_at = 0.0
        """When the node last missed something that is not noted; monotonic."""
        self.replaying = False
        self.cursor = b""
        self.per_second = 0.0

    @property
    def behind(self) -> bool:
        return self.pending > 0 or self.marked or self.unsure


class Hints:
    """The hints this node holds, by the node they are owed to."""

    __slots__ = ("_debts", "_handoff_bytes", "_site", "_stopped")

    def __init__(self, site: Site, crashed: bool) -> None:
        self._site = site
        self._debts = [_Debt() for _ in site.topology.nodes]
        self._handoff_bytes = 0
        self._stopped = False
        self._recover()
        if crashed:
            for node in site.partners():
                self._debts[node].unsure = True

    # What is owed

    def owed(self, node: int) -> int:
        """How many keys `node` is known to lack the newest record of."""
        return self._debts[node].pending

    def status(self, node: int) -> dict[str, Any]:
        debt = self._debts[node]
        age_ms = self._site.runtime.wall_ms() - debt.since_ms if debt.pending else 0
        return {
            "pending": debt.pending,
            "oldest_s": round(max(age_ms, 0) / 1000, 1),
            "per_second": round(debt.per_second, 1) if debt.replaying else 0.0,
            "missed_more": debt.marked,
        }

    def holds(self, key: bytes) -> bool:
        """True if some node is owed the record at storage key `key`."""
        return any(
            debt.pending and self._site.store.get(self._prefix(node) + key) is not None
            for node, debt in enumerate(self._debts)
        )

    def add(self, node: int, key: bytes) -> None:
        """Note that the owner `node` lacks the record, which this node, an owner too, holds.

        Not of what is kept in memory: when the note is replayed it may long be evicted here.
        """
        if self._site.is_volatile(key):
            return
        debt = self._debts[node]
        if debt.marked:
            debt.missed_at = self._site.runtime.now()
            return
        now_ms = self._site.runtime.wall_ms()
        too_old = debt.pending and now_ms - debt.since_ms > HINT_AGE_MAX_MS
        if too_old or debt.pending >= HINTS_MAX:
            self.mark(node)
        else:
            self._note(node, key, ignore, None)

    def keep(self, node: int, key: bytes, size: int, done: Done, arg: Any) -> None:
        """Note that this node holds a record of `size` bytes in the place of `node`.

        Raises Overloaded beyond the bound on what is held for others. What is kept in memory
        is held for those who read it here, and as long as it fits: no note, no bound.
        """
        if self._site.is_volatile(key):
            self._site.runtime.call_soon(done, arg, None)
            return
        if self._handoff_bytes + size > HANDOFF_BYTES_MAX:
            raise Overloaded(
                f"wanted to hold {size} bytes for an owner that is away, got "
                f"{self._handoff_bytes} bytes held already; bring the owners back",
                retry_after=1,
            )
        if self._site.store.get(self._prefix(node) + key) is None:
            self._handoff_bytes += size
        self._note(node, key, done, arg)

    def mark(self, node: int) -> None:
        """`node` has missed more than is noted: it is behind until all has been compared."""
        debt = self._debts[node]
        debt.missed_at = self._site.runtime.now()
        if not debt.marked:
            debt.marked = True
            self._site.store.put(self._mark(node), b"", ignore, None)
            self.announce(node)

    def mark_lost(self, node: int, done: Done, arg: Any) -> None:
        """Another node has come under the name of `node`: what that one held is gone.

        `done` when this is sure to be remembered.
        """
        debt = self._debts[node]
        debt.missed_at = self._site.runtime.now()
        debt.marked = debt.lost = True
        debt.whole = False
        self._site.store.put(self._mark(node), _LOST, done, arg)
        self.announce(node)

    def on_damaged(self, note: bytes) -> None:
        """A note cannot be read: whoever it is about has missed something that is not noted."""
        name = note[1 : note.index(0)].decode(errors="replace")
        for node, spec in enumerate(self._site.topology.nodes):
            if spec.name == name:
                self.mark(node)

    def on_compared(self, node: int, began: float) -> None:
        """What `node` and this one both own is equal, but for writes since `began`."""
        debt = self._debts[node]
        if debt.unsure:
            debt.unsure = False
            self.announce(node)
        if debt.marked and debt.missed_at < began:
            debt.marked = False
            self._unmark(node)
            self.announce(node)

    def on_standing(self, node: int, recovering: bool) -> None:
        """What `node` says of itself."""
        self._debts[node].whole = not recovering
        self._unmark(node)

    def _unmark(self, node: int) -> None:
        """Forget the mark of `node` once it lacks nothing. That it has lost a disk is remembered
        until it says itself that it is whole: it may crash, and have to be told again.
        """
        debt = self._debts[node]
        if debt.marked or (debt.lost and not debt.whole):
            return
        if debt.lost or self._site.store.get(self._mark(node)) is not None:
            debt.lost = False
            self._site.store.delete(self._mark(node), ignore, None)

    def _note(self, node: int, key: bytes, done: Done, arg: Any) -> None:
        site, debt = self._site, self._debts[node]
        note = self._prefix(node) + key
        now_ms = site.runtime.wall_ms()
        if site.store.get(note) is None:
            site.counters.hints_stored += 1
            debt.pending += 1
            if debt.pending == 1:
                debt.since_ms = now_ms
                self.announce(node)
        elif done is ignore:
            return
        site.store.put(note, _NOTE.pack(now_ms, site.topology.epoch), done, arg)

    # Replay

    def announce(self, node: int) -> None:
        """Tell `node` whether it is behind, and if it is, begin to catch it up.

        Also a suspect is told, if a link to it is there: it may be wrongly suspected, and must
        know that writes went past it.
        """
        if not self._site.transport.is_up(node):
            return
        debt = self._debts[node]
        behind = debt.behind or self._site.recovering
        lost = debt.lost if debt.met or debt.lost else None
        self._site.transport.send(node, Standing(behind, lost, self._site.recovering))
        if debt.pending and not debt.replaying and self._site.is_up(node):
            debt.replaying = True
            self._site.runtime.call_soon(self._replay, node)

    def on_peer_up(self, node: int) -> None:
        """It has been introduced: if it is another one than it was, `mark_lost` has been called."""
        self._debts[node].met = True
        self.announce(node)

    def on_peer_lost(self, node: int) -> None:
        """What is said from now on waits for whoever answers to its name next."""
        self._debts[node].met = False

    def stop(self) -> None:
        """Replay no more; the notes stay for the node's next life."""
        self._stopped = True

    def _replay(self, node: int) -> None:
        if self._stopped:
            return
        debt = self._debts[node]
        keys = self._page(node, debt.cursor, _WINDOW)
        if not self._site.is_up(node):
            debt.replaying = False
        elif keys:
            debt.cursor = keys[-1] + b"\0"
            _Window(self, self._site, node).send(keys)
        elif debt.cursor:
            debt.cursor = b""
            self._site.runtime.call_later(_PAUSE_S, self._replay, node)
        else:
            debt.replaying = False
            debt.pending = 0
            self.announce(node)

    def on_window_done(self, node: int, complete: bool, count: int, elapsed_s: float) -> None:
        """All hints of a window were acked or given up; what was given up is tried later."""
        debt = self._debts[node]
        rate = count / max(elapsed_s, 1e-6)
        debt.per_second += (rate - debt.per_second) / 8
        if complete and debt.pending == 0:
            debt.cursor = b""
        pause_s = self._site.pace.pause_s(count) if complete else _PAUSE_S
        if pause_s:
            self._site.runtime.call_later(pause_s, self._replay, node)
        else:
            self._site.runtime.call_soon(self._replay, node)

    def on_acked(self, node: int, key: bytes, sent: bytes) -> None:
        """`node` has the record with digest `sent`, durably."""
        site = self._site
        site.counters.hints_replayed += 1
        try:
            held = site.store.get(key)
        except StorageError:
            return  # whether it is still the newest shows when it is sent again
        if held is not None and digest(held) != sent:
            return
        site.store.delete(self._prefix(node) + key, ignore, None)
        self._debts[node].pending -= 1
        if held is not None and site.local not in site.owners_of(key):
            self._let_go(key, held)

    def _let_go(self, key: bytes, held: bytes) -> None:
        """Drop a copy that was kept for others, unless another one is still owed it, or it lists
        a dot of this actor: the actor's next dot of the key would cover those it has forgotten.
        """
        if self.holds(key):
            return
        self._handoff_bytes = max(0, self._handoff_bytes - len(held))
        if all(event.actor != self._site.actor for event in decode(key, held).context):
            self._site.drop(key, held, ignore, None)

    # Start

    def _recover(self) -> None:
        """Learn what the node's former lives owed; what they owed to nodes that are gone goes to
        the key's owners of today.
        """
        names = {spec.name: node for node, spec in enumerate(self._site.topology.nodes)}
        start, orphans = b"h", []
        while notes := self._site.store.scan(start, b"i", 4096):
            start = notes[-1][0] + b"\0"
            for note, made in notes:
                name, _, key = note[1:].partition(b"\0")
                node = names.get(name.decode())
                if node is None:
                    orphans.append((note, key))
                    continue
                debt = self._debts[node]
                debt.pending += 1
                made_ms = _NOTE.unpack(made)[0] if len(made) == _NOTE.size else 0
                debt.since_ms = min(debt.since_ms or made_ms, made_ms)
                if self._site.local not in self._site.owners_of(key):
                    self._handoff_bytes += self._size(key)
        for mark, kind in self._site.store.scan(b"m", b"n", len(names) + 1):
            node = names.get(mark[1:].decode())
            if node is not None:
                self._debts[node].marked = True
                self._debts[node].lost = kind == _LOST
        for note, key in orphans:
            self._reroute(note, key)

    def _size(self, key: bytes) -> int:
        """Of the record at `key`; none of one that cannot be read."""
        try:
            return len(self._site.store.get(key) or b"")
        except StorageError:
            return 0

    def _reroute(self, note: bytes, key: bytes) -> None:
        site = self._site
        for owner in site.owners_of(key):
            if owner != site.local:
                self._note(owner, key, ignore, None)
        site.store.delete(note, ignore, None)

    def _prefix(self, node: int) -> bytes:
        return b"h" + self._site.topology.nodes[node].name.encode() + b"\0"

    def _mark(self, node: int) -> bytes:
        return b"m" + self._site.topology.nodes[node].name.encode()

    def _page(self, node: int, cursor: bytes, limit: int) -> list[bytes]:
        start = self._prefix(node)
        end = start[:-1] + b"\x01"
        found = self._site.store.scan(start + cursor, end, limit)
        return [note[len(start) :] for note, _ in found]


class _Window:
    """A handful of hinted records on their way to one node."""

    __slots__ = ("_began", "_complete", "_count", "_hints", "_left", "_node", "_site")

    def __init__(self, hints: Hints, site: Site, node: int) -> None:
        self._hints = hints
        self._site = site
        self._node = node
        self._began = site.runtime.now()
        self._count = 0
        self._left = 0
        self._complete = True

    def send(self, keys: list[bytes]) -> None:
        self._count = self._left = len(keys)
        for key in keys:
            _HintedWrite(self._site, self, self._node, key).start()

    def on_ended(self, key: bytes, sent: bytes, acked: bool) -> None:
        if acked:
            self._hints.on_acked(self._node, key, sent)
        else:
            self._complete = False
        self._left -= 1
        if self._left == 0:
            elapsed_s = self._site.runtime.now() - self._began
            self._hints.on_window_done(self._node, self._complete, self._count, elapsed_s)


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
        try:
            data = site.store.get(self._key)
        except StorageError:
            # It stays owed: what is damaged here may be replaced by the other owners' copy.
            site.runtime.call_soon(self._end, False)
            return
        if data is None:
            # The record is gone from here, so there is nothing left to hand over.
            site.runtime.call_soon(self._end, True)
            return
        self._sent = digest(data)
        site.transport.send(self._node, Write(self._op, self._key, data))

    def on_wrote(self, node: int) -> None:
        self._end(True)

    def on_refused(self, node: int, code: str) -> None:
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
