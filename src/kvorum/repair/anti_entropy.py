"""Anti-entropy: every owner compares its partitions with each of their other owners, again and
again.

With each other node a few exchanges are under way at most (`exchange.py`). A *pass* compares all
partitions that the two share. It begins an interval (`upkeep.py`) or more after the last one ended,
soon after a link came up, and a little later where one failed, as the other node may still be
building its hash trees. What a repair asks for waits in the same queue and goes before the next
pass.

    beat, once a second     for each node that is up, idle and due: a pass
    pass                    the partitions under each placement rule, dealt out to as many exchanges
                            as may be under way, so that a slow link does not cost a round trip for
                            every partition
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.documents.status import AntiEntropyStatus
from kvorum.model.placement_rule import PlacementRule
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.repair.counterpart import Counterpart
from kvorum.repair.exchange import Exchange, Finding, Task
from kvorum.repair.inventory import Stock
from kvorum.repair.rounds import Rounds
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import (
    Compare,
    Differing,
    Inventory,
    KeyDiff,
    PartitionRepaired,
    Shortfall,
    TombstoneVeto,
)

_BEAT_S: Final = 1.0
_SOON_S: Final = 1.0
_AGAIN_S: Final = 5.0
_UNDER_WAY_MAX: Final = 8
_WAITING_MAX: Final = 64
"""Exchanges with one peer; a node that asks for more repairs at once is refused."""

OnExchange = Callable[[Exchange], object]


class _Peer:
    """The exchanges with one other node. `due`: when the next pass is, monotonic."""

    def __init__(self, node: int, due: float) -> None:
        self.node = node
        self.due = due
        self.under_way: set[Exchange] = set()
        self.waiting: deque[Exchange] = deque()
        # Of the pass under way: exchanges to go, and whether those before were complete.
        self.left = 0
        self.sound = True


class AntiEntropy:
    """Compares this replica with those of all other owners, and repairs what differs."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        on_compared: Callable[[int, float], object],
        interval_s: float,
    ) -> None:
        """`on_compared(node, began)` is called after each complete pass: all that `node` and this
        node share is equal, but for writes since the monotonic time `began`. `interval_s`: from the
        end of a pass to the next.
        """
        self._view = view
        self._replica = replica
        self._operations = operations
        self._stock = Stock(replica)
        self._on_compared = on_compared
        self._interval_s = interval_s
        self._stopped = False
        self.rounds = Rounds(view, operations)
        now = operations.runtime.now()
        self._peers = {
            node: _Peer(node, now + _SOON_S) for node in view.topology.numbers if node != view.local
        }
        counterpart = Counterpart(view, replica, operations, self._stock)
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            Compare: counterpart.on_compare,
            Inventory: counterpart.on_inventory,
            **dict.fromkeys(
                (Differing, KeyDiff, PartitionRepaired, TombstoneVeto, Shortfall), self._on_reply
            ),
        }

    def start(self) -> None:
        if self._peers:
            self._operations.runtime.call_later(_BEAT_S, self._beat)

    def stop(self) -> None:
        self._stopped = True
        for peer in self._peers.values():
            for exchange in peer.under_way:
                exchange.stop()

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open. It may have been away, so compare with it soon."""
        peer = self._peers[node]
        peer.due = min(peer.due, self._operations.runtime.now() + _SOON_S)

    def recount(self, rule: PlacementRule, start: bytes, end: bytes) -> None:
        """Correct the hash tree over a range in which a record is damaged. Raises StorageError."""
        self._stock.take(rule, start, end)

    # Exchanges

    def exchange(self, node: int, task: Task, done: OnExchange) -> bool:
        """Compare with `node` when its turn comes, and call `done`.

        Returns False, and does nothing, if the node is down or too many exchanges with it wait.
        """
        peer = self._peers[node]
        if len(peer.waiting) >= _WAITING_MAX or not self._operations.is_up(node):
            return False
        self._enqueue(peer, task, done)
        return True

    def _enqueue(self, peer: _Peer, task: Task, done: OnExchange) -> None:
        def on_done(exchange: Exchange) -> None:
            peer.under_way.discard(exchange)
            done(exchange)
            self._next(peer)

        exchange = Exchange(
            self._replica, self._operations, self._stock, peer.node, task, self._on_found, on_done
        )
        peer.waiting.append(exchange)
        self._next(peer)

    def _next(self, peer: _Peer) -> None:
        while peer.waiting and len(peer.under_way) < _UNDER_WAY_MAX and not self._stopped:
            exchange = peer.waiting.popleft()
            peer.under_way.add(exchange)
            exchange.start()

    def _on_found(self, exchange: Exchange, finding: Finding) -> None:
        rule, rounds = exchange.task.rule, self.rounds
        if finding.repaired:
            rounds.note_repaired(rule, finding.partition, finding.repaired)
        if finding.complete and exchange.task.whole:
            rounds.note(rule, finding.partition, exchange.node, exchange.began)

    # Passes

    def _beat(self) -> None:
        if self._stopped:
            return
        now = self._operations.runtime.now()
        if self._replica.trees.built:
            for peer in self._peers.values():
                idle = not peer.under_way and not peer.waiting
                if idle and peer.due <= now and self._operations.is_up(peer.node):
                    self._begin_pass(peer)
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def _begin_pass(self, peer: _Peer) -> None:
        counts = self._view.rules
        shared = {n: self.rounds.shared_with(peer.node, n) for n in counts}
        tasks = [
            Task(n, partitions[first::_UNDER_WAY_MAX])
            for n, partitions in shared.items()
            for first in range(min(_UNDER_WAY_MAX, len(partitions)))
        ]
        began = self._operations.runtime.now()
        peer.left, peer.sound = len(tasks), True
        peer.due = began + self._interval_s

        def done(exchange: Exchange) -> None:
            peer.left -= 1
            peer.sound = peer.sound and exchange.complete
            if peer.left == 0:
                self._end_pass(peer, began)

        for task in tasks:
            self._enqueue(peer, task, done)
        if not tasks:  # they share only what nobody compares
            self._end_pass(peer, began)

    def _end_pass(self, peer: _Peer, began: float) -> None:
        runtime = self._operations.runtime
        if peer.sound:
            # Not all nodes at the same time, for ever.
            peer.due = runtime.now() + self._interval_s * runtime.rng.uniform(1.0, 1.25)
            self._on_compared(peer.node, began)
        else:
            peer.due = runtime.now() + _AGAIN_S

    # Replies

    def _on_reply(
        self,
        node: int,
        message: Differing | KeyDiff | PartitionRepaired | TombstoneVeto | Shortfall,
    ) -> None:
        operation = self._operations.table.get(message.op)
        if isinstance(operation, Question):
            operation.on_reply(node, message)

    # For people

    def status(self) -> AntiEntropyStatus:
        """`oldest_round_ms`: wall time of the last complete round of the partition that has waited
        longest; None while some partition has had none.
        """
        rounds = self.rounds.status()
        times = [entry["last_round_ms"] for entry in rounds]
        known = [time for time in times if time is not None]
        return AntiEntropyStatus(
            trees_built=self._replica.trees.built,
            partitions=len(rounds),
            compared=len(known),
            oldest_round_ms=min(known) if known and len(known) == len(times) else None,
            repaired=sum(entry["repaired"] for entry in rounds),
        )
