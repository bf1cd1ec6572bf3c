"""Repairs on demand: the comparisons that anti-entropy makes anyway, made now and watched.

A run goes through its partitions one after another. Each is repaired (`partition_repair.py`), then
all its owners are asked what is still damaged there (`damage_survey.py`): what no owner can read,
nobody can repair, and the run says so.

A full run compares every key, so it also finds what the hash trees do not show: records damaged on
disk, or changed behind the store's back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import NotFound, Overloaded, RequestError
from kvorum.model.keys import partition_range, token_range
from kvorum.model.request import Unreadable
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.operations.operations import Operations
from kvorum.repair.damage_survey import Damage, DamageSurvey
from kvorum.repair.exchange import Span
from kvorum.repair.partition_repair import PartitionRepairs
from kvorum.repair.rounds import Rounds
from kvorum.repair.target import Compared, Target
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import KeyRange

RUNS_MAX: Final = 4
"""Under way at once; as many that have ended are remembered."""


@dataclass(eq=False)
class Repairs:
    """The runs that this node was asked for."""

    _view: ClusterView
    _replica: LocalReplica
    _operations: Operations
    _partition_repairs: PartitionRepairs
    _rounds: Rounds
    _runs: dict[str, Run] = field(default_factory=dict, init=False)

    def begin(
        self, namespace: str | None, partition: int | None, key: str | None, *, full: bool
    ) -> dict[str, Any]:
        """Start a run over the namespace, partition or key that is named; over everything if none
        is.

        `full`: compare every key, not only hash trees. Returns the run's progress. Raises
        NamespaceNotFound, InvalidKey, RequestError or Overloaded.
        """
        targets = self._targets(namespace, partition, key, full=full)
        under_way = [run for run in self._runs.values() if not run.ended]
        if len(under_way) >= RUNS_MAX:
            raise Overloaded(
                f"{RUNS_MAX} repairs are under way on this node, as many as it runs at a time. "
                "Retry later.",
                retry_after=5,
            )
        if not self._replica.trees.built:
            raise Overloaded(
                "This node still reads its store after its start, and cannot be compared yet. "
                "Retry later, or ask another node.",
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
        """How far the run with that number is. Raises NotFound."""
        run = self._runs.get(number)
        if run is None:
            known = ", ".join(self._runs) or "none"
            raise NotFound(f"No such repair: {number[:80]!r}. This node remembers: {known}.")
        return run.progress()

    def overview(self) -> dict[str, Any]:
        """The progress of all runs that are remembered, and the ledger of rounds."""
        return {
            "runs": [run.progress() for run in self._runs.values()],
            "partitions": self._rounds.status(),
        }

    def _targets(
        self, namespace: str | None, partition: int | None, key: str | None, *, full: bool
    ) -> deque[Target]:
        if key is not None:
            if partition is not None:
                raise RequestError("Name a partition or a key to repair, not both.")
            place = self._view.place(namespace or DEFAULT_NAMESPACE, key)
            span = Span(place.key, place.key + b"\0")
            of_key = self._view.placement.partition(place.token)
            return deque([Target(place.settings.rule, of_key, span)])
        partitions = self._view.topology.partitions
        if partition is not None and not 0 <= partition < partitions:
            raise RequestError(
                f"No such partition: {partition}. The cluster has 0 to {partitions - 1}."
            )
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

    def repair(self, target: Target, done: Compared) -> None:
        """Have all owners of `target` compared and repaired; `done` is called once."""
        self._partition_repairs.repair(target, done)

    def survey(self, target: Target, done: Callable[[Damage, bool], object]) -> None:
        """Have all owners of `target` asked what is damaged there."""
        owners = self._view.placement.owners(target.partition, target.rule)
        whole = partition_range(target.partition, self._view.topology.partition_bits)
        keys = target.span or whole
        DamageSurvey(self._view, self._replica, self._operations, keys, done).start(owners)

    def unreadable(self, target: Target, keys: KeyRange, key: str | None) -> Unreadable:
        """What no owner of `target` can read in `keys`, as it is told to people."""
        start, end = keys
        nodes = self._view.placement.owners(target.partition, target.rule)
        last = None if keys == token_range(start[1:]) else end[1:9].hex()
        names = self._view.names(sorted(nodes))
        return Unreadable(target.partition, names, key, start[1:9].hex(), last)


class Run:
    """One run: its targets are repaired and surveyed, one after another."""

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
        self._repairs.repair(self._targets[0], self._on_repaired)

    @property
    def ended(self) -> bool:
        return self._done == self._total

    def progress(self) -> dict[str, Any]:
        """`incomplete`: not all owners were repaired. `damaged`: what no owner could repair."""
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
            self._repairs.repair(self._targets[0], self._on_repaired)
