"""The audit: what is asked of the cluster once all faults have healed.

    scrub     whatever is damaged is found
    settle    time for links to return and for owed writes to arrive
    sweep     where values expire: time for all of them to, and to be buried
    read      every key from all its owners
    compare   the owners' records byte for byte
    write     every key once more, blindly, twice, at different nodes; read and compare again

The second half shows that the cluster serves again, and that one writer after another, who
know nothing of each other, leave one version.
"""

from __future__ import annotations

from typing import Final

from kvorum.sim.checkers import (
    Violation,
    nothing_damaged,
    nothing_kept,
    nothing_unburied,
    replicas_equal,
)
from kvorum.sim.client import Basis, Client, Wish
from kvorum.sim.history import History, Operation
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.world import World

_SETTLE_S: Final = 10.0
_REPAIR_S: Final = 3.0
_SWEPT_S: Final = 15.0
"""The longest lifetime, what a burial waits for clocks, and a few sweeps."""


class Audit:
    __slots__ = (
        "_client",
        "_fleeting",
        "_history",
        "_keys",
        "_replicas",
        "_rng",
        "_world",
        "final",
        "violations",
    )

    def __init__(
        self, world: World, history: History, keys: list[str], parameters: Parameters
    ) -> None:
        self.final: dict[str, Operation] = {}
        self.violations: list[Violation] = []
        self._world = world
        self._history = history
        self._client = Client(world, history)
        self._keys = keys
        self._replicas = parameters.replicas
        self._fleeting = parameters.mix.fleeting > 0
        self._rng = stream(parameters.seed, "audit")

    def run(self) -> None:
        self._world.scrub()
        self._world.scheduler.run_for(_SETTLE_S)
        self.final = {key: self._read(key) for key in self._keys}
        self._compare()
        values = {key: self._world.values(key) for key in self._keys}
        self.violations += nothing_kept(self._history, values)
        if self._fleeting:
            self._sweep()
        for key in self._keys:
            self._ask(Wish("put", key))
            last = self._ask(Wish("put", key))
            left = self._read(key).values
            if left != (last.value,):
                self._blame(f"{last} followed every other write of its key; left is {left}")
        self._compare()

    def _sweep(self) -> None:
        """What was read and compared before had in part expired, and in part been buried."""
        self._world.scheduler.run_for(_SWEPT_S + self._world.skew_s)
        expired = {key: self._world.expired(key) for key in self._keys}
        self.violations += nothing_unburied(expired)
        self._compare()

    def _read(self, key: str) -> Operation:
        return self._ask(Wish("get", key, quorum=self._replicas))

    def _ask(self, wish: Wish) -> Operation:
        node = self._rng.choice(self._world.up())
        operation = self._client.ask(wish, node, _ignore)
        self._world.scheduler.run_while(lambda: self._client.waiting)
        if operation.outcome != "acked":
            self._blame(f"{operation} ({operation.error}) though all faults had healed")
        return operation

    def _compare(self) -> None:
        self._world.scheduler.run_for(_REPAIR_S)
        damaged = {key: self._world.damaged(key) for key in self._keys}
        self.violations += nothing_damaged(damaged)
        self.violations += replicas_equal({key: self._world.stored(key) for key in self._keys})

    def _blame(self, message: str) -> None:
        self.violations.append(Violation("recovered", message))


def _ignore(_operation: Operation, _basis: Basis | None) -> None:
    """The audit looks at the operation itself."""
