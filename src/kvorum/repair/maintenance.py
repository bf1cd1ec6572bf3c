"""Maintenance: the background work that keeps this node's copy complete and clean.

walk          reads all records once after the start, for hash trees and counts   `walk.py`
recount       counts entries anew where records were damaged                      `recount.py`
anti-entropy  compares this copy with the other owners' copies and repairs it     `anti_entropy.py`
recovery      has a node that lost its disk compare before it answers reads       `recovery.py`
verifier      compares the tokens of damaged records before they are answered     `verifier.py`
collection    deletes tombstones that nobody needs any more                       `collection.py`
sweep         removes versions that have expired                                  `sweep.py`
repairs       are the runs that people ask for                                    `repair.py`
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.documents.status import Waiting
from kvorum.handoff.hints import Hints
from kvorum.model.catalog import Catalog, difference
from kvorum.model.prefixes import HINT
from kvorum.operations.operations import Operations
from kvorum.repair.anti_entropy import AntiEntropy
from kvorum.repair.collection import Collection
from kvorum.repair.partition_repair import PartitionRepairs
from kvorum.repair.recount import Recounts
from kvorum.repair.recovery import Recovery
from kvorum.repair.repair import Repairs
from kvorum.repair.shortfall import on_survey
from kvorum.repair.sweep import Sweep
from kvorum.repair.upkeep import Upkeep
from kvorum.repair.verifier import Verifier
from kvorum.repair.waiting import waiting
from kvorum.repair.walk import Walk
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Survey

_RECOUNT_AFTER_S: Final = 2.0


class Maintenance:
    """The background work of a node that has a replica."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        hints: Hints,
        upkeep: Upkeep,
        tell: Callable[[str], object],
    ) -> None:
        """`tell` is given what people should know, a sentence at a time and once."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._hints = hints
        self.recovery = Recovery(view, replica, operations, tell, hints.announce_all)
        self.anti_entropy = AntiEntropy(
            view, replica, operations, self._on_compared, upkeep.interval_s
        )
        rounds = self.anti_entropy.rounds
        self._collection = Collection(view, replica, operations, hints, rounds, upkeep.grace_s)
        self._sweep = Sweep(replica, operations, upkeep.sweep_s)
        self._walk = Walk(replica, operations, self._on_records)
        self._recounts = Recounts(replica, operations, view.topology.partition_bits)
        partition_repairs = PartitionRepairs(view, replica, operations, self.anti_entropy)
        self._verifier = Verifier(
            view, replica, operations, self.anti_entropy, partition_repairs, tell
        )
        self.repairs = Repairs(view, replica, operations, partition_repairs, rounds)
        self._recount_due = False
        self._stopped = False
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            Survey: partial(on_survey, replica, operations),
            **self.anti_entropy.handlers,
            **partition_repairs.handlers,
            **self._collection.handlers,
        }
        """By type of message; each takes the sender and the message."""
        view.subscribe(self._on_catalog)

    def start(self) -> None:
        self._walk.start()
        self.anti_entropy.start()
        self._collection.start()
        self._sweep.start()
        self._verifier.start()

    def stop(self) -> None:
        self._stopped = True
        self._walk.stop()
        self.anti_entropy.stop()
        self._collection.stop()
        self._recounts.stop()
        self._sweep.stop()
        self.recovery.stop()
        self._verifier.stop()

    def waiting(self) -> Waiting:
        """What this node does not answer for, and which nodes it waits for: see `waiting.py`."""
        return waiting(self._view, self._replica.unverified, self.recovery)

    # When records of the store are damaged or gone

    def on_damaged(self, stored_key: bytes) -> None:
        """The record or note at `stored_key` cannot be read. Of its key only the first nine bytes,
        the token, are sure; of a hint all of it is.
        """
        if stored_key[:1] == HINT:
            self._hints.on_damaged(stored_key)
        else:
            self._verifier.on_damaged(stored_key)
            self._recounts.on_damaged(stored_key)

    def recount_soon(self) -> None:
        """Damaged records are still counted, and more may follow: build the trees anew soon."""
        if not self._recount_due:
            self._recount_due = True
            self._operations.runtime.call_later(_RECOUNT_AFTER_S, self.recount)

    def recount(self) -> None:
        """Build the hash trees anew, and count the entries: many records are gone that are still
        counted.
        """
        self._recount_due = False
        if self._stopped:
            return
        self._walk.stop()
        self._recounts.leave()
        self._replica.trees.clear()
        self._replica.counts.begin()
        self._walk = Walk(self._replica, self._operations, self._on_records)
        self._walk.start()

    def _on_catalog(self, old: Catalog, new: Catalog) -> None:
        self._replica.trees.follow(new)
        self._replica.counts.follow(new)
        self.anti_entropy.rounds.follow()
        if difference(old, new).dropped:
            self.recount()

    def _on_records(self, records: list[tuple[bytes, bytes]], upto: bytes) -> None:
        """The walk at start has come across `records`, all that there are before `upto`."""
        self._replica.trees.count(records, upto)
        self._replica.counts.count(records, upto)
        self._collection.meet(records, upto)
        self._sweep.learn(records, upto)
        if self._walk.ended:
            self._recounts.begin()

    def _on_compared(self, node: int, began: float) -> None:
        self._hints.on_compared(node, began)
        self.recovery.on_compared(node, began)
