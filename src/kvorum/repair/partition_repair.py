"""The repair of one partition: one of its owners compares itself with each of the others.

    the owner compares with each other one    now it has all that any of them has
    and with all but the last once more       now they all have

It is this node if it is an owner, else the first owner that can be reached, on behalf of this node
(`RepairPartition`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import ProtocolError
from kvorum.model.keys import is_range_start, partition_range
from kvorum.model.placement_rule import PlacementRule
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.repair.anti_entropy import AntiEntropy
from kvorum.repair.exchange import Exchange, Span, Task
from kvorum.repair.target import Compared, Target
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Message, PartitionRepaired, Refused, RepairPartition

_REPAIR_TIMEOUT_MS: Final = 600_000


class PartitionRepairs:
    """Repairs single partitions, for this node and on behalf of others."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        anti_entropy: AntiEntropy,
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._anti_entropy = anti_entropy
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            RepairPartition: self._on_repair_partition
        }
        """By type of message; each takes the sender and the message."""

    def repair(self, target: Target, done: Compared) -> None:
        """Have all owners of a partition compared and repaired; `done` is called once."""
        owners = self._view.placement.owners(target.partition, target.rule)
        if self._view.local in owners:
            self._repair_here(target, done)
            return
        up = [node for node in owners if self._operations.is_up(node)]
        if not up:
            self._operations.runtime.call_soon(done, 0, False)
            return

        def on_reply(reply: Message | None) -> None:
            if isinstance(reply, PartitionRepaired):
                done(reply.repaired, reply.complete)
            else:
                done(0, False)

        question = Question(self._operations, up[0], on_reply)
        message = RepairPartition(question.op, target.rule.id, target.partition, *target.ends)
        question.ask(message, _REPAIR_TIMEOUT_MS)

    def compare(self, target: Target, done: Compared) -> None:
        """Have this owner get all that the other owners hold of `target`; `done` is called once."""
        task = Task(target.rule, [target.partition], target.span, whole=False)
        self._begin(task, self._peers(target), done)

    def _repair_here(self, target: Target, done: Compared) -> None:
        peers = self._peers(target)
        bits = self._view.topology.partition_bits
        whole = target.span in (None, Span(*partition_range(target.partition, bits)))
        task = Task(target.rule, [target.partition], target.span, whole)
        self._begin(task, peers + peers[:-1], done)

    def _peers(self, target: Target) -> list[int]:
        return self._anti_entropy.rounds.peers(target.rule, target.partition)

    def _begin(self, task: Task, peers: list[int], done: Compared) -> None:
        comparison = _Comparisons(self._anti_entropy, task, deque(peers), done)
        self._operations.runtime.call_soon(comparison.go_on)

    # On behalf of other nodes

    def _on_repair_partition(self, node: int, message: RepairPartition) -> None:
        target = self._checked(message)
        if not self._replica.trees.built:
            self._operations.transport.send(
                node,
                Refused(message.op, "not_ready", "This node is still building its hash trees."),
            )
            return

        def on_done(repaired: int, complete: bool) -> None:
            self._operations.transport.send(node, PartitionRepaired(message.op, repaired, complete))

        self._repair_here(target, on_done)

    def _checked(self, message: RepairPartition) -> Target:
        """What `message` asks for. Raises ProtocolError if this node has no part in that."""
        rule, partition = PlacementRule.parse(message.rule), message.partition
        if (
            rule is None
            or self._replica.trees.forest(rule) is None
            or not 0 <= partition < self._view.topology.partitions
        ):
            raise ProtocolError(
                f"There is no partition {partition} under placement rule {message.rule[:80]!r}."
            )
        if self._view.local not in self._view.placement.owners(partition, rule):
            raise ProtocolError(
                f"Node {self._view.local_name} does not own partition {partition}, which it is to "
                "repair."
            )
        return Target(rule, partition, self._span(partition, message))

    def _span(self, partition: int, message: RepairPartition) -> Span | None:
        if not message.start and not message.end:
            return None
        start, end = partition_range(partition, self._view.topology.partition_bits)
        if not (is_range_start(message.start) and start <= message.start < message.end <= end):
            raise ProtocolError(
                f"The keys from {message.start[:9]!r} on are not of partition {partition}."
            )
        return Span(message.start, message.end)


@dataclass(eq=False)
class _Comparisons:
    """The comparisons of this owner of a partition with others, one after another."""

    _anti_entropy: AntiEntropy
    _task: Task
    _peers: deque[int]
    _done: Compared
    _repaired: int = field(default=0, init=False)
    _complete: bool = field(default=True, init=False)

    def go_on(self) -> None:
        while self._peers:
            if self._anti_entropy.exchange(self._peers.popleft(), self._task, self._on_exchanged):
                return
            self._complete = False
        self._done(self._repaired, self._complete)

    def _on_exchanged(self, exchange: Exchange) -> None:
        self._repaired += exchange.repaired
        self._complete = self._complete and exchange.complete
        self.go_on()
