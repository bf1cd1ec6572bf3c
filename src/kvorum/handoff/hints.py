"""Hinted handoff: the hints that this node holds for owners that missed a write.

A hint is only a note, "node X lacks the newest record of key K" (`hint_notes.py`): the record
itself is in this node's own store, and to replay a hint is to send whatever record is there then
(`hint_replay.py`).

There are two kinds. A coordinator that is an owner notes who did not acknowledge: such a hint is a
convenience, since anti-entropy would find the difference. Or, under a sloppy quorum, a node that is
no owner stores the record in the place of one (a handoff): its copy may be the only one, so this
hint never expires, and the copy stays until the owner has acknowledged it.

A hint is erased only after the owner's durable acknowledgement, and only if the record that was
acknowledged is still the newest (G. DeCandia et al., "Dynamo", 2007, section 4.6). Hints for a node
that the topology no longer has go to the owners of today.

Hints of the first kind are bounded in number and age. Beyond the bounds the node is *marked*
instead: it has missed more writes than are noted, and only a full comparison can bring it all of
them.

A node that missed writes must not replace, by a blind write, versions it never saw. So each side of
a new link tells the other its `SyncState`: that the other is `behind` while this node holds hints
or a mark for it. A node counts as settled with another once that one has said that it is not
behind. A node that crashed may have lost hints that were not synced; so it calls all others behind
until it has compared with them.
"""

from __future__ import annotations

from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.documents.status import HintStatus
from kvorum.handoff.hint_notes import FoundNote, HintNotes
from kvorum.handoff.hint_replay import HintReplay
from kvorum.model.errors import Overloaded, StorageError
from kvorum.model.record import decode, digest
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import Done, ignore
from kvorum.wire.messages import SyncState

HINTS_MAX: Final = 1_000_000
HINT_AGE_MAX_MS: Final = 3 * 3600 * 1000
HANDOFF_BYTES_MAX: Final = 1 << 30


class _Debt:
    """What one other node has missed, and what it must be told of that.

    `pending`: how many hints there are. `marked`: it has missed more than is noted. `lost`: another
    node came under its name, whose disk was empty. `unsure`: this node crashed, and may have lost
    hints for it. `met`: a link to it is open, and its identity known. `whole`: it has said that it
    is not recovering.
    """

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

    @property
    def behind(self) -> bool:
        return self.pending > 0 or self.marked or self.unsure


class Hints:
    """The hints that this node holds, and what other nodes are told of them."""

    def __init__(
        self, view: ClusterView, replica: LocalReplica, operations: Operations, crashed: bool
    ) -> None:
        """`crashed`: the node's last life did not end well, so hints may be lost."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._notes = HintNotes(view, replica)
        self._replay = HintReplay(view, replica, operations, self._notes, self)
        self._debts = {node: _Debt() for node in view.topology.numbers}
        self._handoff_bytes = 0
        self._recover()
        if crashed:
            for node in view.partners():
                self._debts[node].unsure = True

    # The hints

    def owed(self, node: int) -> int:
        """How many keys `node` is known to lack the newest record of."""
        return self._debts[node].pending

    def status(self, node: int) -> HintStatus:
        """The hints for `node`; `per_second`: how fast they are replayed."""
        debt = self._debts[node]
        age_ms = self._operations.runtime.wall_ms() - debt.since_ms if debt.pending else 0
        return HintStatus(
            pending=debt.pending,
            oldest_s=round(max(age_ms, 0) / 1000, 1),
            per_second=round(self._replay.per_second(node), 1),
            missed_more=debt.marked,
        )

    def holds(self, key: bytes) -> bool:
        """True if there is a hint for the record at storage key `key`."""
        return any(
            debt.pending and self._notes.has(node, key) for node, debt in self._debts.items()
        )

    def add(self, node: int, key: bytes) -> None:
        """Add a hint: the owner `node` lacks the record at `key`, which this owner has.

        For namespaces kept in memory there are no hints: the record may be evicted before the
        replay.
        """
        if self._view.is_volatile(key):
            return
        debt = self._debts[node]
        if debt.marked:
            debt.missed_at = self._operations.runtime.now()
            return
        now_ms = self._operations.runtime.wall_ms()
        too_old = debt.pending and now_ms - debt.since_ms > HINT_AGE_MAX_MS
        if too_old or debt.pending >= HINTS_MAX:
            self.mark(node)
        else:
            self._note(node, key, ignore, None)

    def keep(self, node: int, key: bytes, size: int, done: Done, arg: Any) -> None:
        """Add a hint: this node stores a record of `size` bytes in the place of `node`; `done` once
        that is durable.

        Raises Overloaded beyond the bound on such records. In namespaces kept in memory they are
        stored for reads only, as long as they fit: without a hint, and without a bound.
        """
        if self._view.is_volatile(key):
            self._operations.runtime.call_soon(done, arg, None)
            return
        if self._handoff_bytes + size > HANDOFF_BYTES_MAX:
            raise Overloaded(
                f"Node {self._view.local_name} holds {self._handoff_bytes} bytes for owners that "
                f"are away, and has no room for {size} more. Bring the owners back, or retry "
                "later.",
                retry_after=1,
            )
        if not self._notes.has(node, key):
            self._handoff_bytes += size
        self._note(node, key, done, arg)

    def mark(self, node: int) -> None:
        """`node` has missed more writes than are noted: it is behind until compared."""
        debt = self._debts[node]
        debt.missed_at = self._operations.runtime.now()
        if not debt.marked:
            debt.marked = True
            self._notes.mark(node)
            self.announce(node)

    def mark_lost(self, node: int, done: Done, arg: Any) -> None:
        """An empty disk came under the name of `node`: note that durably, then `done`."""
        debt = self._debts[node]
        debt.missed_at = self._operations.runtime.now()
        debt.marked = debt.lost = True
        debt.whole = False
        self._notes.mark_lost(node, done, arg)
        self.announce(node)

    def on_damaged(self, note: bytes) -> None:
        """A hint cannot be read, so the node that it is for has missed more than is noted."""
        node = self._notes.node_of(note)
        if node is not None:
            self.mark(node)

    def on_compared(self, node: int, began: float) -> None:
        """What `node` and this one own is equal, but for writes since `began` (monotonic)."""
        debt = self._debts[node]
        if debt.unsure:
            debt.unsure = False
            self.announce(node)
        if debt.marked and debt.missed_at < began:
            debt.marked = False
            self._unmark(node)
            self.announce(node)

    def on_sync_state(self, node: int, recovering: bool) -> None:
        """`node` says whether it is recovering."""
        self._debts[node].whole = not recovering
        self._unmark(node)

    def _unmark(self, node: int) -> None:
        """Erase the mark of `node` once it lacks nothing. That it has lost a disk is remembered
        until it says itself that it has recovered: it may crash, and have to be told again.
        """
        debt = self._debts[node]
        if debt.marked or (debt.lost and not debt.whole):
            return
        if debt.lost or self._notes.is_marked(node):
            debt.lost = False
            self._notes.unmark(node)

    def _note(self, node: int, key: bytes, done: Done, arg: Any) -> None:
        debt, now_ms = self._debts[node], self._operations.runtime.wall_ms()
        if not self._notes.has(node, key):
            self._operations.counters.hints_stored += 1
            debt.pending += 1
            if debt.pending == 1:
                debt.since_ms = now_ms
                self.announce(node)
        elif done is ignore:
            return
        self._notes.put(node, key, now_ms, done, arg)

    # What others are told, and what they say

    def announce(self, node: int) -> None:
        """Tell `node` whether it is behind, and begin to replay the hints for it.

        A suspect is told, too, if a link to it is open: it may be wrongly suspected, and must know
        that it has missed writes.
        """
        if not self._operations.transport.is_up(node):
            return
        debt = self._debts[node]
        behind = debt.behind or self._replica.recovering
        lost = debt.lost if debt.met or debt.lost else None
        self._operations.transport.send(
            node, SyncState(behind, lost, self._replica.recovering, self._replica.authorship.actor)
        )
        if debt.pending:
            self._replay.begin(node)

    def announce_all(self) -> None:
        """Tell every other node whether it is behind."""
        for node in self._view.others():
            self.announce(node)

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open; if it is another node now, after `mark_lost`."""
        self._debts[node].met = True
        self.announce(node)

    def on_peer_lost(self, node: int) -> None:
        """The link to `node` is lost. The next node under its name may be another one."""
        self._debts[node].met = False

    def stop(self) -> None:
        """Replay no more; the hints stay for the next start."""
        self._replay.stop()

    # What is paid

    def on_replayed(self, node: int) -> None:
        """All hints for `node` have been replayed."""
        self._debts[node].pending = 0
        self.announce(node)

    def on_acked(self, node: int, key: bytes, sent: bytes) -> None:
        """`node` has the record with digest `sent`, durably."""
        self._operations.counters.hints_replayed += 1
        try:
            held = self._replica.store.get(key)
        except StorageError:
            return  # whether it is still the newest shows when it is sent again
        if held is not None and digest(held) != sent:
            return
        self._notes.erase(node, key)
        self._debts[node].pending -= 1
        if held is not None and self._view.local not in self._view.owners_of(key):
            self._let_go(key, held)

    def _let_go(self, key: bytes, held: bytes) -> None:
        """Delete a record that was stored in the place of an owner, unless another owner still
        lacks it, or it lists a dot of this actor: the actor's next dot of the key would cover those
        it has forgotten.
        """
        if self.holds(key):
            return
        self._handoff_bytes = max(0, self._handoff_bytes - len(held))
        actor = self._replica.authorship.actor
        if all(event.actor != actor for event in decode(key, held).context):
            self._replica.drop(key, held, ignore, None)

    # Start

    def _recover(self) -> None:
        """Read the stored hints; those for nodes that are gone go to the keys' owners."""
        orphans = []
        for note in self._notes.all():
            if note.node is None:
                orphans.append(note)
                continue
            debt = self._debts[note.node]
            debt.pending += 1
            debt.since_ms = min(debt.since_ms or note.made_ms, note.made_ms)
            if self._view.local not in self._view.owners_of(note.key):
                self._handoff_bytes += self._size(note.key)
        for node, lost in self._notes.marks():
            self._debts[node].marked = True
            self._debts[node].lost = lost
        for note in orphans:
            self._reroute(note)

    def _size(self, key: bytes) -> int:
        """The size in bytes of the record at `key`; 0 if it cannot be read."""
        try:
            return len(self._replica.store.get(key) or b"")
        except StorageError:
            return 0

    def _reroute(self, note: FoundNote) -> None:
        for owner in self._view.owners_of(note.key):
            if owner != self._view.local:
                self._note(owner, note.key, ignore, None)
        self._notes.erase_stored(note.stored_key)
