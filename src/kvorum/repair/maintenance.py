"""Maintenance: all that keeps this node's copy complete and clean, beside clients' requests.

walk          counts what is stored, once after the start        `walk.py`
anti-entropy  compares it with the other owners, and repairs     `anti_entropy.py`
recovery      has a node that lost its disk compare first        `recovery.py`
collection    removes tombstones that nobody needs any more      `collection.py`
sweep         takes out what has expired                         `sweep.py`
repairs       the runs that people ask for                       `repair.py`
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.documents.status import Waiting
from kvorum.handoff.hints import Hints
from kvorum.model.catalog import Catalog, difference
from kvorum.operations.operations import Operations
from kvorum.repair.anti_entropy import AntiEntropy
from kvorum.repair.collection import Collection
from kvorum.repair.recovery import Recovery
from kvorum.repair.repair import Repairs
from kvorum.repair.shortfall import on_survey
from kvorum.repair.sweep import Sweep
from kvorum.repair.upkeep import Upkeep
from kvorum.repair.waiting import waiting
from kvorum.repair.walk import Walk
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Survey

_RECOUNT_AFTER_S: Final = 2.0


class Maintenance:
    """The background work of a node that has a replica."""

    __slots__ = (
        "_collection",
        "_hints",
        "_operations",
        "_recount_due",
        "_replica",
        "_stopped",
        "_sweep",
        "_view",
        "_walk",
        "anti_entropy",
        "handlers",
        "recovery",
        "repairs",
    )

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
        self.repairs = Repairs(view, replica, operations, self.anti_entropy, tell)
        self._recount_due = False
        self._stopped = False
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            Survey: partial(on_survey, replica, operations),
            **self.anti_entropy.handlers,
            **self.repairs.handlers,
            **self._collection.handlers,
        }
        """By type of message; each takes the sender and the message."""
        view.subscribe(self._on_catalog)

    def start(self) -> None:
        self._walk.start()
        self.anti_entropy.start()
        self._collection.start()
        self._sweep.start()
        self.repairs.start()

    def stop(self) -> None:
        self._stopped = True
        self._walk.stop()
        self.anti_entropy.stop()
        self._collection.stop()
        self._sweep.stop()
        self.recovery.stop()
        self.repairs.stop()

    def waiting(self) -> Waiting:
        """What this node does not answer for, and whom it waits for: see `waiting.py`."""
        return waiting(self._view, self._replica.unverified, self.recovery)

    # When the store is not what it was

    def on_damaged(self, stored_key: bytes) -> None:
        """What is at `stored_key` does not open; of its key only what is visible is sure."""
        if stored_key[:1] == b"h":
            self._hints.on_damaged(stored_key)
        else:
            self.repairs.around(stored_key)

    def recount_soon(self) -> None:
        """Records cannot be read that the trees hold; there may be more to come."""
        if not self._recount_due:
            self._recount_due = True
            self._operations.runtime.call_later(_RECOUNT_AFTER_S, self.recount)

    def recount(self) -> None:
        """Count all records again: many are gone that the trees still hold."""
        self._recount_due = False
        if self._stopped:
            return
        self._walk.stop()
        self._replica.trees.clear()
        self._walk = Walk(self._replica, self._operations, self._on_records)
        self._walk.start()

    def _on_catalog(self, old: Catalog, new: Catalog) -> None:
        self._replica.trees.follow(new)
        self.anti_entropy.rounds.follow()
        if difference(old, new).dropped:
            self.recount()

    def _on_records(self, records: list[tuple[bytes, bytes]], upto: bytes) -> None:
        """Records that the walk at start has come across."""
        self._replica.trees.count(records, upto)
        self._collection.meet(records, upto)
        self._sweep.learn(records, upto)

    def _on_compared(self, node: int, began: float) -> None:
        self._hints.on_compared(node, began)
        self.recovery.on_compared(node, began)
