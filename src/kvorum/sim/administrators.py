"""Administrators, who change at random nodes who may do what, while faults strike.

They make tokens and roles, alter and remove them, in some runs only, and draw from a stream of
their own. In the other runs no node has an entry, so nodes send nothing of it.

security_equal   in the end all nodes hold the same security catalog
security_kept    a change that was answered is in it, or one that counts for more; unless all nodes
                 that were said to know it have lost their disks
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kvorum.model.errors import KvorumError, StorageError
from kvorum.model.permissions import Grant, Permission, Role
from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry
from kvorum.model.security_values import Token
from kvorum.replication.shared_security import Spread
from kvorum.sim.checkers import Violation
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.world import World

_SHARE_OF_RUNS: Final = 0.25
_ROLES: Final = ("auditor", "clerk")
_ID_BITS: Final = 48


class Answered(NamedTuple):
    """A change that was answered; `known_by`: the nodes that were said to have it."""

    entry: SecurityEntry
    known_by: tuple[int, ...]


class Administrators:
    """Change the catalog until they are stopped, one change after another."""

    def __init__(self, world: World, parameters: Parameters) -> None:
        self._world = world
        self._rng = stream(parameters.seed, "administrators")
        self._pause_s_mean = parameters.pause_s_mean
        self._stopped = self._rng.random() >= _SHARE_OF_RUNS
        self._answered: list[Answered] = []

    def start(self) -> None:
        """Begin, unless this run has no administrators."""
        if not self._stopped:
            self._rest()

    def stop(self) -> None:
        """Change nothing more."""
        self._stopped = True

    def _rest(self) -> None:
        pause_s = self._rng.expovariate(1 / (10 * self._pause_s_mean))
        self._world.scheduler.after(pause_s, None, self._change)

    def _change(self) -> None:
        if self._stopped:
            return
        self._rest()
        up = self._world.up()
        if not up:
            return
        node = self._rng.choice(up)
        security = self._world.security(node)
        now_ms = self._world.runtime(node).wall_ms()
        try:
            entry = self._entry(security.catalog, now_ms, node)
        except KvorumError:
            return  # what was drawn cannot be done: a role that is used cannot be removed, say
        self._world.trace.note(f"administrator > n{node} {entry.kind} {entry.name} {entry.stamp}")
        security.change(entry, lambda result: self._on_answer(entry, result))

    def _entry(self, catalog: SecurityCatalog, now_ms: int, node: int) -> SecurityEntry:
        rng = self._rng
        tokens = [one.id for one in catalog.values("token") if isinstance(one, Token)]
        kind = rng.choice(("token", "token", "role", "remove", "unrole"))
        if kind == "remove" and tokens:
            return catalog.removing("token", rng.choice(tokens), now_ms, node)
        if kind == "unrole":
            return catalog.removing("role", rng.choice(_ROLES), now_ms, node)
        if kind == "role":
            allowed = rng.sample([Permission.READ, Permission.WRITE, Permission.LIST], 2)
            role = Role(name=rng.choice(_ROLES), permissions=tuple(allowed))
            return catalog.putting(role, now_ms, node)
        made = Token(
            id=f"{rng.getrandbits(_ID_BITS):012x}",
            name="program",
            digest="0" * 64,
            grants=(Grant(role=rng.choice(("reader", *_ROLES))),),
            created_ms=now_ms,
        )
        return catalog.putting(made, now_ms, node)

    def _on_answer(self, entry: SecurityEntry, result: Spread | StorageError) -> None:
        if isinstance(result, Spread):
            known_by = tuple(map(self._world.topology.number_of, result.known_by))
            self._answered.append(Answered(entry, known_by))

    def violations(self) -> list[Violation]:
        """What must hold at the end of a run, and does not."""
        found = [self._world.security(node).catalog for node in self._world.up()]
        first = found[0]
        violations = [
            Violation("security_equal", f"n{node} holds another catalog than n0")
            for node, catalog in enumerate(found)
            if catalog.digest != first.digest
        ]
        for entry, known_by in self._answered:
            if not self._world.wiped.issuperset(known_by) and not _holds(first, entry):
                violations.append(
                    Violation(
                        "security_kept", f"{entry.kind} {entry.name}, known by {known_by}, is gone"
                    )
                )
        return violations


def _holds(catalog: SecurityCatalog, entry: SecurityEntry) -> bool:
    """True if `entry`, or one that counts for more, is in `catalog`."""
    merged, _ = catalog.merged([entry])
    return merged.digest == catalog.digest
