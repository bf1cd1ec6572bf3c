"""Tombstone collection: tombstones are deleted once nobody needs them any more.

A tombstone keeps an older version of its key from coming back. So it may be deleted only when no
older version is left anywhere: not by age. The first owner of the key sees to that:

    known       the tombstone is written, or found by a walk over the store
    agreed      in a round that began later, every other owner was found to hold the same tombstone,
                or was given it (`rounds.py`)
    aged        since then it has been the same for a while, the grace (`upkeep.py`)
    proposed    every node of the cluster is asked, and none vetoes
    deleted     each node deletes the tombstone, if it is still the same there

Why each of these is needed:

    every owner holds it     an owner without it may hold the version that was deleted, and
                             would bring it back to the others in the next round
    aged since agreed        a message with the old version may be on its way, or a read may
                             have got it before that owner had the tombstone, and write it
                             back as a repair; the grace is longer than messages live
    every node answers       a node that is away may hold a hint with the old version, or be
                             an owner whose disk has lost the tombstone
      no hint for the key    when replayed, it would bring what its node holds
      no write or read of    it may send what it has gathered, or write back what it made of
      the key under way      an old answer, after all have deleted the tombstone
      no other record at a   what a node that stands in holds will reach the owners
      node that is no owner
      all that is durable    a crash must not bring back what this answer relied on being gone
    deleted if the same      the key may have been written again since it was asked; that
                             record holds the tombstone's dots in its context, and stays

An owner that does not get the order to delete spreads the tombstone anew in the next round, and it
is collected again. (Cassandra collects by age, `gc_grace_seconds`: there a replica that was away
for longer revives what was deleted.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.handoff.hints import Hints
from kvorum.model.errors import StorageError
from kvorum.model.prefixes import BARRIER
from kvorum.model.record import digest, is_tombstone
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.repair.inventory import ENTRIES_MAX, check_entries
from kvorum.repair.rounds import Rounds
from kvorum.repair.walk import Walk
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.tombstones import Tombstone
from kvorum.replica.trees import END, START
from kvorum.storage.store import ignore
from kvorum.wire.messages import Entries, Forget, Message, Refused, TombstoneProposal, TombstoneVeto

_BEAT_S: Final = 2.0
_LOOKED_AT_MAX: Final = 1024
"""Tombstones in one beat."""


class Collection:
    """Collects the tombstones of this node's keys, and answers for those of other nodes."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        hints: Hints,
        rounds: Rounds,
        grace_s: float,
    ) -> None:
        """`grace_s`: for how many seconds all owners must have held a tombstone."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._hints = hints
        self._rounds = rounds
        self._grace_s = grace_s
        self._others = [n for n in view.topology.numbers if n != view.local]
        self._proposal: _Proposal | None = None
        self._walk: Walk | None = None
        self._stopped = False
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            TombstoneProposal: self._on_tombstone_proposal,
            Forget: self._on_forget,
        }

    def start(self) -> None:
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def stop(self) -> None:
        self._stopped = True
        if self._walk is not None:
            self._walk.stop()

    def meet(self, records: list[tuple[bytes, bytes]], _upto: bytes) -> None:
        """A walk has come across these records: remember the tombstones among them."""
        for key, data in records:
            self._replica.tombstones.see(key, data)

    # The first owner's side

    def _beat(self) -> None:
        if self._stopped:
            return
        if self._replica.store.failed is None:
            self._look_for_more()
            if self._proposal is None and all(map(self._operations.is_up, self._others)):
                self._propose(sorted(self._due()))
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def _look_for_more(self) -> None:
        tombstones = self._replica.tombstones
        walking = self._walk is not None and not self._walk.ended
        if tombstones.overflowed and not tombstones.known and not walking:
            tombstones.overflowed = False
            self._walk = Walk(self._replica, self._operations, self.meet)
            self._walk.start()

    def _due(self) -> Entries:
        """Those of the next few tombstones that may be proposed."""
        known, now = self._replica.tombstones.known, self._operations.runtime.now()
        due: Entries = []
        for key in list(islice(known, _LOOKED_AT_MAX)):
            tombstone = known[key]
            try:
                is_still = self._is_still(key, tombstone.digest)
            except StorageError:
                continue  # it is looked at again later; a damaged one is replaced by a repair
            if not is_still:
                del known[key]
                continue
            known.move_to_end(key)
            if tombstone.agreed_at is None:
                if self._is_agreed(key, tombstone):
                    tombstone.agreed_at = now
            elif now - tombstone.agreed_at >= self._grace_s and len(due) < ENTRIES_MAX:
                due.append((key, tombstone.digest))
        return due

    def _is_agreed(self, key: bytes, tombstone: Tombstone) -> bool:
        settings = self._view.settings_of(key)
        if settings is None:
            return False  # its namespace was dropped, and the record goes with it
        partition = self._view.placement.partition(key[1:9])
        return self._rounds.began_since(settings.rule, partition, tombstone.since)

    def _propose(self, entries: Entries) -> None:
        if entries:
            self._proposal = _Proposal(self._replica, self._operations, entries, self._on_heard)
            self._proposal.start(self._others, self._vetoes(entries))

    def _on_heard(self, proposal: _Proposal) -> None:
        """Every node has answered, or will not."""
        self._proposal = None
        if self._stopped or proposal.failed:
            return
        known, now = self._replica.tombstones.known, self._operations.runtime.now()
        for key in proposal.vetoed:
            if key in known:
                known[key].since, known[key].agreed_at = now, None
        agreed = [entry for entry in proposal.entries if entry[0] not in proposal.vetoed]
        if agreed:
            for node in self._others:
                self._operations.transport.send(node, Forget(agreed))
            self._forget(agreed)

    # Every node's side

    def _on_tombstone_proposal(self, node: int, message: TombstoneProposal) -> None:
        check_entries(message.entries, START, END)
        vetoes = self._vetoes(message.entries)
        answer = _Answer(self._operations, node, message.op, vetoes)
        self._replica.store.delete(BARRIER, answer.send, None)

    def _on_forget(self, _node: int, message: Forget) -> None:
        check_entries(message.entries, START, END)
        if self._replica.store.failed is None:
            self._forget(message.entries)

    def _forget(self, entries: Entries) -> None:
        for key, mark in entries:
            try:
                held = self._replica.store.get(key) or b""
            except StorageError:
                continue  # as if this node had not got the order
            if _is_same_tombstone(key, held, mark):
                self._operations.counters.tombstones_collected += 1
                self._replica.tombstones.known.pop(key, None)
                self._replica.drop(key, held, ignore, None)

    def _is_still(self, key: bytes, mark: bytes) -> bool:
        """True if `key` here has the tombstone of digest `mark`. Raises StorageError."""
        return _is_same_tombstone(key, self._replica.store.get(key) or b"", mark)

    def _vetoes(self, entries: Entries) -> list[bytes]:
        """The keys of `entries` whose tombstones this node still needs."""
        busy = {operation.key for operation in self._operations.table.values() if operation.key}
        return [key for key, mark in entries if key in busy or self._needs(key, mark)]

    def _needs(self, key: bytes, mark: bytes) -> bool:
        """True also where it cannot be told, as for a damaged record."""
        try:
            if self._hints.holds(key) or self._replica.unverified.cover(key):
                return True
            if (
                self._view.local not in self._view.owners_of(key)
                and self._replica.store.get(key) is None
            ):
                return False
            return not self._is_still(key, mark)
        except StorageError:
            return True


def _is_same_tombstone(key: bytes, held: bytes, mark: bytes) -> bool:
    """True if `held` is the tombstone of `key` with the digest `mark`."""
    return digest(held) == mark and is_tombstone(key, held)


@dataclass(eq=False)
class _Proposal:
    """Tombstones that are to be deleted, and the answers of all nodes to that.

    `vetoed`: the keys whose tombstones some node still needs.
    """

    _replica: LocalReplica
    _operations: Operations
    entries: Entries
    _heard: Callable[[_Proposal], object]
    vetoed: set[bytes] = field(default_factory=set, init=False)
    failed: bool = field(default=False, init=False)
    """True if some node did not answer."""
    _left: int = field(default=0, init=False)

    def start(self, others: list[int], own_vetoes: list[bytes]) -> None:
        self._left = len(others) + 1
        self.vetoed.update(own_vetoes)
        self._replica.store.delete(BARRIER, self._on_durable, None)
        for node in others:
            question = Question(self._operations, node, self._on_answer)
            question.ask(TombstoneProposal(question.op, self.entries))

    def _on_durable(self, _arg: object, error: StorageError | None) -> None:
        self._settle(failed=error is not None)

    def _on_answer(self, reply: Message | None) -> None:
        if isinstance(reply, TombstoneVeto):
            self.vetoed.update(reply.keys)
        self._settle(failed=not isinstance(reply, TombstoneVeto))

    def _settle(self, *, failed: bool) -> None:
        self.failed = self.failed or failed
        self._left -= 1
        if self._left == 0:
            self._heard(self)


@dataclass(eq=False)
class _Answer:
    """This node's answer to a proposal, sent once all that it relies on is durable."""

    _operations: Operations
    _node: int
    _op: int
    _vetoes: list[bytes]

    def send(self, _arg: object, error: StorageError | None) -> None:
        if error is None:
            self._operations.transport.send(self._node, TombstoneVeto(self._op, self._vetoes))
        else:
            self._operations.transport.send(
                self._node, Refused(self._op, error.code, error.message)
            )
