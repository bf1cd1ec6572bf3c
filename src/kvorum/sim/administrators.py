"""Administrators, who make, change and remove tokens at random nodes.

    security_equal   after the faults all nodes hold the same security catalog
    security_kept    what was answered is there, unless a later change replaced it or every node
                     that knew it has lost its disk
    token_stays_removed
                     a node that knows of a token's removal does not accept it again

They work in some runs only, and draw from a stream of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec.structs import replace

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.permissions import ROLES, Grant, Permission, Role
from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry, first_administrator
from kvorum.model.security_values import Token
from kvorum.replication.shared_security import Spread
from kvorum.sim.checkers import Violation
from kvorum.sim.disk import Disk
from kvorum.sim.parameters import Parameters, stream
from kvorum.sim.world import World

_SHARE_OF_RUNS: Final = 0.25
_PAUSES: Final = 3
"""They are so many times slower than clients."""
_SETTLED_S: Final = 12.0
"""The audit's."""
_DIGEST: Final = "0" * 64
_FIRST: Final = first_administrator("first", _DIGEST)
_CUSTOM_ROLES: Final = ("clerk", "guest")


@dataclass(frozen=True, slots=True)
class Answered:
    """A change that was answered, and the disks where it was durable, by node."""

    entry: SecurityEntry
    disks: dict[int, Disk]


class Administrators:
    """Change the security catalog until they are stopped. `violations`: what was not kept."""

    def __init__(self, world: World, parameters: Parameters) -> None:
        self.violations: list[Violation] = []
        self._world = world
        self._rng = stream(parameters.seed, "administrators")
        self._pause_s_mean = parameters.pause_s_mean * _PAUSES
        self._stopped = False
        self._works = self._rng.random() < _SHARE_OF_RUNS
        self._tokens = 0
        self._answered: list[Answered] = []

    def start(self) -> None:
        """Begin, unless this run has no administrators."""
        if self._works:
            self._rest()

    def stop(self) -> None:
        """Change nothing more; judge when the cluster has settled."""
        self._stopped = True
        if self._works:
            self._world.scheduler.after(_SETTLED_S, None, self._judge)

    def _rest(self) -> None:
        pause_s = self._rng.expovariate(1 / self._pause_s_mean)
        self._world.scheduler.after(pause_s, None, self._act)

    def _act(self) -> None:
        if self._stopped:
            return
        self._rest()
        self._judge_removed()
        if up := self._world.up():
            node = self._rng.choice(up)
            runtime = self._world.runtime(node)
            self._world.scheduler.after(0.0, runtime, self._change, node)

    def _change(self, node: int) -> None:
        security = self._world.security(node)
        if not security.catalog.entries:
            security.enter_first(_FIRST)
            return
        make = self._rng.choice((self._created, self._changed, self._removed, self._role))
        now_ms = self._world.runtime(node).wall_ms()
        try:
            entry = make(security.catalog, now_ms, node)
        except ConfigError:
            return  # It would leave nobody who administers, or takes a role that is needed.
        self._world.trace.note(f"administrator > n{node} {entry.id} {entry.stamp}")
        security.change(entry, partial(self._on_reply, entry, list(self._world.disks)))

    def _created(self, catalog: SecurityCatalog, now_ms: int, node: int) -> SecurityEntry:
        self._tokens += 1
        name = f"t{self._tokens}"
        token = Token(
            id=name, name=name, digest=_DIGEST, grants=self._grants(catalog), created_ms=now_ms
        )
        return catalog.putting(token, now_ms, node)

    def _changed(self, catalog: SecurityCatalog, now_ms: int, node: int) -> SecurityEntry:
        token = self._some_token(catalog)
        return catalog.putting(replace(token, grants=self._grants(catalog)), now_ms, node)

    def _removed(self, catalog: SecurityCatalog, now_ms: int, node: int) -> SecurityEntry:
        return catalog.removing("token", self._some_token(catalog).id, now_ms, node)

    def _role(self, catalog: SecurityCatalog, now_ms: int, node: int) -> SecurityEntry:
        name = self._rng.choice(_CUSTOM_ROLES)
        if catalog.role(name) is not None and self._rng.random() < 0.5:
            return catalog.removing("role", name, now_ms, node)
        permission = self._rng.choice((Permission.READ, Permission.WRITE))
        return catalog.putting(Role(name=name, permissions=(permission,)), now_ms, node)

    def _grants(self, catalog: SecurityCatalog) -> tuple[Grant, ...]:
        roles = [*ROLES, *(name for name in _CUSTOM_ROLES if catalog.role(name) is not None)]
        return (Grant(role=self._rng.choice(roles)),)

    def _some_token(self, catalog: SecurityCatalog) -> Token:
        tokens = [value for value in catalog.values("token") if isinstance(value, Token)]
        if not tokens:
            raise ConfigError("There is no token.")
        return self._rng.choice(tokens)

    def _on_reply(
        self, entry: SecurityEntry, asked: list[Disk], reply: Spread | StorageError
    ) -> None:
        """`asked`: the disks when the change began. One may be gone before the answer comes."""
        self._world.trace.note(f"administrator < {entry.id} {reply}")
        if isinstance(reply, Spread):
            names = [node.name for node in self._world.topology.nodes]
            nodes = [names.index(name) for name in reply.known_by]
            disks = {node: asked[node] for node in nodes}
            self._answered.append(Answered(entry, disks))
            self._judge_removed()

    # What must hold

    def _judge(self) -> None:
        catalogs = {node: self._world.security(node).catalog for node in self._world.up()}
        first, *others = catalogs.values()
        if any(other != first for other in others):
            counts = {f"n{node}": len(catalog.entries) for node, catalog in catalogs.items()}
            self._blame("security_equal", f"nodes hold other security catalogs: {counts}")
        for answered in self._answered:
            entry, left = answered.entry, first.entries.get(answered.entry.id)
            known = any(self._world.disks[node] is disk for node, disk in answered.disks.items())
            if known and (left is None or _weight(left) < _weight(entry)):
                self._blame("security_kept", f"{entry.id} {entry.stamp} was answered and is gone")
        self._judge_removed()

    def _judge_removed(self) -> None:
        """Also where a node has started again since, if it has its disk."""
        for answered in self._answered:
            entry = answered.entry
            if entry.kind != "token" or entry.value is not None:
                continue
            for node, disk in answered.disks.items():
                life = self._world.lives[node]
                if life is None or self._world.disks[node] is not disk:
                    continue
                if life.replicator.security.catalog.token(entry.name) is not None:
                    self._blame("token_stays_removed", f"n{node} accepts {entry.name} again")

    def _blame(self, check: str, message: str) -> None:
        violation = Violation(check, message)
        if violation not in self.violations:
            self.violations.append(violation)


def _weight(entry: SecurityEntry) -> tuple[bool, int, int]:
    """What decides between two entries with one id; said here as well, so that a mistake in the
    catalog's own rule is found.
    """
    return entry.kind == "token" and entry.value is None, entry.stamp, entry.origin
