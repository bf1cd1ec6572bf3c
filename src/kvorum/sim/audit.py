"""The audit: what is asked of the cluster once all faults have healed.

    scrub     whatever is damaged is found
    settle    time for links to return and for owed writes to arrive
    alone     where anti-entropy sleeps: have the healers that run done what they promise? Then
              it is woken, and has its time
    sweep     where values expire: time for all of them to, and to be expired
    read      every key from all its owners
    compare   the owners' records byte for byte
    count     each node's counts of its entries against a scan of its store
    resolve   where siblings are many: on the version of all of them, and delete what is left
    write     every key once more, blindly, twice, at different nodes; read and compare again
    shred     where records are sealed: one namespace, on one node later than on the others

The second half shows that the cluster serves again, and that one writer after another, who
know nothing of each other, leave one version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.sim.checkers import (
    Violation,
    names,
    nothing_back,
    nothing_damaged,
    nothing_kept,
    nothing_unexpired,
    replicas_equal,
)
from kvorum.sim.client import Basis, Client, Wish
from kvorum.sim.entry_counts import counts_exact
from kvorum.sim.history import History, Operation
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.world import World

T = TypeVar("T")

_LASTING_S: Final = 3600
"""Where nothing is put for ever."""
_SETTLE_S: Final = 12.0
_HANDED_OVER_S: Final = 10.0
"""Until the second end of a broken link hears nothing for too long, and then for what is owed."""
_WOKEN_S: Final = 5.0
"""Until a comparison that failed is begun again."""
_REPAIR_S: Final = 3.0
_COUNTED_S: Final = 5.0
"""Until damaged partitions have been counted anew: they are gathered for two seconds."""
_SWEPT_S: Final = 15.0
"""The longest lifetime, what a expiration waits for clocks, and a few sweeps."""


class Audit:
    """The questions asked of a cluster once all faults have healed."""

    def __init__(
        self, world: World, history: History, keys: list[str], parameters: Parameters
    ) -> None:
        self.final: dict[tuple[str, str], Operation] = {}
        self.violations: list[Violation] = []
        self._world = world
        self._history = history
        self._client = Client(world, history)
        self._wheres = [(namespace, key) for namespace in parameters.namespaces for key in keys]
        self._fleeting = parameters.fleeting
        self._crowded = parameters.crowded
        self._parameters = parameters
        self._rng = stream(parameters.seed, "audit")

    def run(self) -> None:
        self._world.scrub()
        if self._world.healing.anti_entropy_sleeps:
            self._judge_those_that_run()
        self._world.scheduler.run_for(_SETTLE_S)
        self._find_damaged()
        self.final = {where: self._read(*where) for where in self._wheres}
        self._compare()
        for namespace in self._world.topology.namespaces:
            values = self._of_each(namespace, self._world.holdings.values)
            self.violations += nothing_kept(self._history.of(namespace), values)
        if self._fleeting:
            self._sweep()
        if self._crowded:
            self._resolve()
        for namespace, key in self._wheres:
            ttl_s = _LASTING_S if self._world.settings(namespace).ttl else 0
            self._ask(Wish("put", key, namespace, ttl_s=ttl_s))
            last = self._ask(Wish("put", key, namespace, ttl_s=ttl_s))
            left = self._read(namespace, key).values
            if left != (last.value,) and self._is_healed(namespace):
                self._blame(f"{last} followed every other write of its key; left is {left}")
        self._compare()
        self._count()
        if self._parameters.sealed:
            self._shred()

    def _judge_those_that_run(self) -> None:
        """What hints promise, and then what read repair does; anti-entropy has done little yet."""
        world, healers, parameters = self._world, self._world.healing.healers, self._parameters
        if healers.hints and parameters.steady:
            world.scheduler.run_for(_HANDED_OVER_S)
            self.violations += replicas_equal(self._owed())
        else:
            world.scheduler.run_for(_REPAIR_S)
        if parameters.keeps_copies:
            for where in self._wheres:
                self._read(*where)
            if healers.read_repair:
                self._compare()
        world.healing.wake()
        if not parameters.keeps_copies:
            world.scheduler.run_for(_WOKEN_S)

    def _owed(self) -> dict[str, dict[int, bytes | None]]:
        """What the owners hold of the keys of which hints are kept for all who lack something."""
        holdings = self._world.holdings
        return {
            f"{key} in {namespace}": holdings.stored(namespace, key)
            for namespace, key in self._wheres
            if self._world.settings(namespace).durability != "none"
            and not holdings.stood_in_for(namespace, key)
        }

    def _sweep(self) -> None:
        """What was read and compared before had in part expired, and in part been expired."""
        self._world.scheduler.run_for(_SWEPT_S + self._world.clocks.skew_s)
        for namespace in self._world.topology.namespaces:
            self.violations += nothing_unexpired(
                self._of_each(namespace, self._world.holdings.expired)
            )
        self._compare()

    def _resolve(self) -> None:
        """Whatever many siblings there are, their version replaces and removes them."""
        for namespace, key in self._wheres:
            ttl_s = _LASTING_S if self._world.settings(namespace).ttl else 0
            basis = Basis.of(self._read(namespace, key))
            resolved = self._ask(Wish("put", key, namespace, basis, ttl_s=ttl_s))
            if resolved.values != (resolved.value,):
                self._blame(f"{resolved} resolved all; left is {names(resolved.values)}")
            self._ask(Wish("delete", key, namespace, Basis.of(resolved)))
            if left := self._read(namespace, key).values:
                self._blame(f"all of {key} was deleted; left is {names(left)}")

    def _shred(self) -> None:
        """All nodes but one have shredded a namespace, one of them is a new life, and the last one
        has not heard of it yet: it offers what it holds to the others. Then it shreds too.
        """
        world, rng = self._world, self._rng
        before_ms = world.clocks.fastest_ms(world.scheduler.now)
        *first, last = rng.sample(world.up(), len(world.lives))
        for node in first:
            world.shred(node, DEFAULT_NAMESPACE, before_ms)
        world.scheduler.run_for(_REPAIR_S)
        again = rng.choice(first)
        rng.choice((world.stop, world.crash))(again)
        world.start(again)
        world.scheduler.run_for(_SETTLE_S)
        world.shred(last, DEFAULT_NAMESPACE, before_ms)
        world.scheduler.run_for(_REPAIR_S)
        self.violations += nothing_back(self._of_each(DEFAULT_NAMESPACE, world.holdings.values))
        self._count()

    def _read(self, namespace: str, key: str) -> Operation:
        replicas = self._world.settings(namespace).replicas
        return self._ask(Wish("get", key, namespace, quorum=replicas))

    def _of_each(self, namespace: str, what: Callable[[str, str], T]) -> dict[str, T]:
        """By key of `namespace`."""
        return {key: what(namespace, key) for name, key in self._wheres if name == namespace}

    def _ask(self, wish: Wish) -> Operation:
        node = self._rng.choice(self._world.up())
        operation = self._client.ask(wish, node, _ignore)
        self._world.scheduler.run_while(lambda: self._client.waiting)
        if operation.outcome != "acked":
            self._blame(f"{operation} ({operation.error}) though all faults had healed")
        return operation

    def _compare(self) -> None:
        self._world.scheduler.run_for(_REPAIR_S)
        self._find_damaged()
        holdings = self._world.holdings
        for namespace in self._world.topology.namespaces:
            if self._is_healed(namespace):
                self.violations += replicas_equal(self._of_each(namespace, holdings.stored))

    def _count(self) -> None:
        """Each node's counts are those of its store, at the latest when what was damaged is
        counted anew.
        """
        if self._miscounts():
            self._world.scheduler.run_for(_COUNTED_S)
        self.violations += self._miscounts()

    def _miscounts(self) -> list[Violation]:
        lives = {node: life for node, life in enumerate(self._world.lives) if life is not None}
        counted = {node: life.counted() for node, life in lives.items()}
        return counts_exact(counted, {node: life.scanned() for node, life in lives.items()})

    def _find_damaged(self) -> None:
        for namespace in self._world.topology.namespaces:
            damaged = self._of_each(namespace, self._world.holdings.damaged)
            self.violations += nothing_damaged(damaged)

    def _is_healed(self, namespace: str) -> bool:
        """True if what has been read is equal: of what is kept in memory there are no hints, and
        it is not compared.
        """
        durability = self._world.settings(namespace).durability
        return durability != "none" or self._world.healing.healers.read_repair

    def _blame(self, message: str) -> None:
        self.violations.append(Violation("recovered", message))


def _ignore(_operation: Operation, _basis: Basis | None) -> None:
    """The audit looks at the operation itself."""
