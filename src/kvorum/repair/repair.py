"""Repair on demand: the rounds that anti-entropy makes anyway, made now and watched.

A run goes through its partitions one after another. A partition is repaired by one of its
owners, this node if it is one, else the first owner that can be reached, on behalf of this
node (`RepairPartition`):

    the owner compares with each other one    now it has all that any of them has
    and with all but the last once more       now they all have

A full run compares every key, so it also finds what the trees do not show: records damaged
on disk, or changed behind the store's back.

Then all owners are asked what is still damaged there: what no other owner has had, nobody can
repair, and the run says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import (
    NotFound,
    Overloaded,
    ProtocolError,
    RequestError,
    StorageError,
)
from kvorum.model.keys import is_range_start, partition_range, token_range
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.request import Unreadable
from kvorum.model.spans import TokenSpan, of_token
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.repair.anti_entropy import AntiEntropy
from kvorum.repair.damage_survey import Damage, DamageSurvey
from kvorum.repair.exchange import Exchange, Span, Task
from kvorum.repair.settlement import Compared, Settlement, Target, leaves
from kvorum.repair.waiting import ADVICE
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import KeyRange
from kvorum.wire.messages import Message, PartitionRepaired, Refused, RepairPartition

_BEAT_S: Final = 1.0
_GATHER_S: Final = 0.1
_SETTLING_MAX: Final = 16
"""Partitions whose doubts are being settled at once."""
RUNS_MAX: Final = 4
"""Under way at once; as many that have ended are remembered."""
_REPAIR_TIMEOUT_MS: Final = 600_000


class Repairs:
    """The runs that this node was asked for, and its part in those of other nodes."""

    __slots__ = (
        "_anti_entropy",
        "_not_before",
        "_operations",
        "_replica",
        "_runs",
        "_settle_due",
        "_settling",
        "_stopped",
        "_tell",
        "_told",
        "_view",
        "handlers",
    )

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        anti_entropy: AntiEntropy,
        tell: Callable[[str], object],
    ) -> None:
        """`tell` is given what people should know."""
        self._tell = tell
        self._view = view
        self._replica = replica
        self._operations = operations
        self._anti_entropy = anti_entropy
        self._runs: dict[str, Run] = {}
        self._settling: set[int] = set()
        self._not_before: dict[int, float] = {}
        self._settle_due = False
        self._told = False
        self._stopped = False
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            RepairPartition: self.on_repair_partition
        }

    def start(self) -> None:
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def stop(self) -> None:
        self._stopped = True

    def begin(
        self, namespace: str | None, partition: int | None, key: str | None, *, full: bool
    ) -> dict[str, Any]:
        """Start a run over what is named; over everything if nothing is.

        Raises NamespaceNotFound, RequestError or Overloaded.
        """
        targets = self._targets(namespace, partition, key, full=full)
        under_way = [run for run in self._runs.values() if not run.ended]
        if len(under_way) >= RUNS_MAX:
            raise Overloaded(
                f"wanted fewer than {RUNS_MAX} repairs under way, got that many; retry later",
                retry_after=5,
            )
        if not self._replica.trees.built:
            raise Overloaded(
                "wanted this node to know what it holds, got one that still reads its store "
                "after its start; retry later, or ask another node",
                retry_after=1,
            )
        while len(self._runs) - len(under_way) >= RUNS_MAX:
            del self._runs[next(number for number, run in self._runs.items() if run.ended)]
        # Random, so that nobody is shown the progress of another run after a restart.
        number = f"{self._operations.runtime.rng.getrandbits(64):016x}"
        run = self._runs[number] = Run(number, self, targets, key)
        run.start()
        return run.progress()

    def progress(self, number: str) -> dict[str, Any]:
        run = self._runs.get(number)
        if run is None:
            known = ", ".join(self._runs) or "none"
            raise NotFound(
                f"wanted a repair that this node was asked for ({known}), got {number[:80]!r}"
            )
        return run.progress()

    def overview(self) -> dict[str, Any]:
        return {
            "runs": [run.progress() for run in self._runs.values()],
            "partitions": self._anti_entropy.rounds.status(),
        }

    def _targets(
        self, namespace: str | None, partition: int | None, key: str | None, *, full: bool
    ) -> deque[Target]:
        if key is not None:
            if partition is not None:
                raise RequestError("wanted a partition or a key to repair, got both")
            place = self._view.place(namespace or DEFAULT_NAMESPACE, key)
            span = Span(place.key, place.key + b"\0")
            of_key = self._view.placement.partition(place.token)
            return deque([Target(place.settings.rule, of_key, span)])
        partitions = self._view.topology.partitions
        if partition is not None and not 0 <= partition < partitions:
            raise RequestError(f"wanted a partition from 0 to {partitions - 1}, got {partition}")
        rules = self._view.rules
        if namespace is not None:
            rules = (self._view.catalog.settings(namespace).rule,)
        wanted = range(partitions) if partition is None else [partition]
        bits = self._view.topology.partition_bits
        return deque(
            Target(rule, p, Span(*partition_range(p, bits)) if full else None)
            for p in wanted
            for rule in rules
        )

    def around(self, key: bytes) -> None:
        """Have the leaf repaired into which `key` falls: a record in there is damaged.

        From now on the trees say that it is missing. Until it has been compared with all other
        owners it is in doubt, and this is tried again and again.
        """
        self._replica.unverified.begin_again(key)
        if not self._replica.trees.built:
            return  # Trees that are being built leave out what is damaged.
        token = key[1:9]
        for target in leaves(
            self._view, self._replica, self._view.placement.partition(token), of_token(token)
        ):
            try:
                self._anti_entropy.recount(target.rule, *target.ends)
            except StorageError:
                return  # Nothing can be read there now.
        self._settle_soon()

    # UnverifiedTokens

    def _beat(self) -> None:
        if self._stopped:
            return
        self._settle()
        self._operations.runtime.call_later(_BEAT_S, self._beat)

    def _settle_soon(self) -> None:
        """Damages come in crowds: first let more of them be found."""
        if not self._settle_due:
            self._settle_due = True
            self._operations.runtime.call_later(_GATHER_S, self._settle)

    def _settle(self) -> None:
        """Compare what is in doubt, a partition's doubts together, so that they may end."""
        self._settle_due = False
        now = self._operations.runtime.now()
        if self._stopped or not self._replica.trees.built or not self._replica.unverified.tokens:
            return
        for partition, spans in self._unverified_by_partition().items():
            if len(self._settling) >= _SETTLING_MAX:
                return
            if partition not in self._settling and self._not_before.get(partition, 0.0) <= now:
                self._settling.add(partition)
                settlement = Settlement(
                    self._view,
                    self._replica,
                    self._operations,
                    partition,
                    spans,
                    self._compare,
                    self._on_settled,
                )
                settlement.start()

    def _unverified_by_partition(self) -> dict[int, list[TokenSpan]]:
        found: dict[int, list[TokenSpan]] = {}
        for span in self._replica.unverified.tokens:
            found.setdefault(self._view.placement.partition(span.first), []).append(span)
        return found

    def _compare(self, target: Target, done: Compared) -> None:
        """As `_repair_here`; but it is only this owner that has to have it all."""
        peers = self._anti_entropy.rounds.peers(target.rule, target.partition)
        task = Task(target.rule, [target.partition], target.span, whole=False)
        repair = _PartitionRepair(self._anti_entropy, task, deque(peers), done)
        self._operations.runtime.call_soon(repair.go_on)

    def _on_settled(self, partition: int, pause_s: float) -> None:
        self._settling.discard(partition)
        self._not_before[partition] = self._operations.runtime.now() + pause_s
        self._tell_of_unverified()
        self._settle()

    def _tell_of_unverified(self) -> None:
        """Say once that some of what is in doubt waits for people, and once that nothing does."""
        stuck = next(
            (pair for pair in self._replica.unverified.tokens.items() if pair[1].waits_for), None
        )
        if stuck is not None and not self._told:
            span, doubt = stuck
            names = ", ".join(self._view.names(list(doubt.waits_for)))
            partition = self._view.placement.partition(span.first)
            self._tell(
                f"Records in partition {partition} and perhaps others "
                f"cannot be read anywhere: they are damaged on {names}, and no other owner can say "
                f"what was there. This node does not answer for them. To end that {ADVICE}."
            )
        elif stuck is None and self._told:
            self._tell("No record waits any more for an owner that can read it.")
        self._told = stuck is not None

    def mend(self, target: Target, done: Compared) -> None:
        """Have a partition repaired; `done(repaired, complete)`."""
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

    def survey(self, target: Target, done: Callable[[Damage, bool], object]) -> None:
        """Have all owners of a target asked what is damaged there."""
        owners = self._view.placement.owners(target.partition, target.rule)
        whole = partition_range(target.partition, self._view.topology.partition_bits)
        keys = target.span or whole
        DamageSurvey(self._view, self._replica, self._operations, keys, done).start(owners)

    def unreadable(self, target: Target, keys: KeyRange, key: str | None) -> Unreadable:
        """What is damaged in `keys` on all owners, in words; `key` if it is about that one."""
        start, end = keys
        nodes = self._view.placement.owners(target.partition, target.rule)
        last = None if keys == token_range(start[1:]) else end[1:9].hex()
        names = self._view.names(sorted(nodes))
        return Unreadable(target.partition, names, key, start[1:9].hex(), last)

    def on_repair_partition(self, node: int, message: RepairPartition) -> None:
        rule, partition = PlacementRule.parse(message.rule), message.partition
        if (
            rule is None
            or self._replica.trees.forest(rule) is None
            or not 0 <= partition < self._view.topology.partitions
        ):
            raise ProtocolError(
                f"wanted a partition of ours, got {partition} under {message.rule[:80]!r}"
            )
        if self._view.local not in self._view.placement.owners(partition, rule):
            raise ProtocolError(f"wanted partition {partition} of one of its owners, got this node")
        target = Target(rule, partition, self._span(partition, message))
        if not self._replica.trees.built:
            self._operations.transport.send(
                node, Refused(message.op, "not_ready", "the trees are not built")
            )
            return

        def on_done(repaired: int, complete: bool) -> None:
            self._operations.transport.send(node, PartitionRepaired(message.op, repaired, complete))

        self._repair_here(target, on_done)

    def _span(self, partition: int, message: RepairPartition) -> Span | None:
        if not message.start and not message.end:
            return None
        start, end = partition_range(partition, self._view.topology.partition_bits)
        if not (is_range_start(message.start) and start <= message.start < message.end <= end):
            raise ProtocolError(f"wanted keys of partition {partition}, got {message.start[:9]!r}")
        return Span(message.start, message.end)

    def _repair_here(self, target: Target, done: Compared) -> None:
        peers = self._anti_entropy.rounds.peers(target.rule, target.partition)
        bits = self._view.topology.partition_bits
        whole = target.span in (None, Span(*partition_range(target.partition, bits)))
        task = Task(target.rule, [target.partition], target.span, whole)
        repair = _PartitionRepair(self._anti_entropy, task, deque(peers + peers[:-1]), done)
        self._operations.runtime.call_soon(repair.go_on)


class _PartitionRepair:
    """One partition, compared by this owner with the others, one after another."""

    __slots__ = ("_anti_entropy", "_complete", "_done", "_peers", "_repaired", "_task")

    def __init__(
        self,
        anti_entropy: AntiEntropy,
        task: Task,
        peers: deque[int],
        done: Compared,
    ) -> None:
        self._anti_entropy = anti_entropy
        self._task = task
        self._peers = peers
        self._done = done
        self._repaired = 0
        self._complete = True

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


class Run:
    """Targets, one after another."""

    __slots__ = (
        "_damaged",
        "_done",
        "_incomplete",
        "_key",
        "_number",
        "_repaired",
        "_repairs",
        "_targets",
        "_total",
    )

    def __init__(
        self, number: str, repairs: Repairs, targets: deque[Target], key: str | None
    ) -> None:
        """`key`: the one that the targets are about, if it is one."""
        self._number = number
        self._key = key
        self._repairs = repairs
        self._targets = targets
        self._total = len(targets)
        self._done = 0
        self._repaired = 0
        self._incomplete: list[int] = []
        self._damaged: dict[KeyRange, Unreadable] = {}

    def start(self) -> None:
        self._repairs.mend(self._targets[0], self._on_repaired)

    @property
    def ended(self) -> bool:
        return self._done == self._total

    def progress(self) -> dict[str, Any]:
        """`incomplete`: partitions of which an owner could not be compared or repaired. `damaged`:
        what no owner could repair.
        """
        return {
            "id": self._number,
            "ended": self.ended,
            "partitions": self._total,
            "done": self._done,
            "repaired": self._repaired,
            "incomplete": self._incomplete,
            "damaged": list(self._damaged.values()),
        }

    def _on_repaired(self, repaired: int, complete: bool) -> None:
        self._repaired += repaired
        self._repairs.survey(
            self._targets[0], lambda damage, asked: self._on_surveyed(damage, complete and asked)
        )

    def _on_surveyed(self, damage: Damage, complete: bool) -> None:
        target = self._targets.popleft()
        self._done += 1
        if not complete:
            self._incomplete.append(target.partition)
        for keys in damage:
            found = self._repairs.unreadable(target, keys, self._key)
            self._damaged.setdefault(keys, found)
        if self._targets:
            self._repairs.mend(self._targets[0], self._on_repaired)
