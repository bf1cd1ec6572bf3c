"""A client: one request at a time, each written into the history.

When the node that has the request goes away, the outcome stays unknown and the client goes
on. A request that never ends is given up long after its deadline, so that a node that
forgets one fails a check instead of stopping the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from msgspec.structs import replace

from kvorum.model.record import JSON, Context
from kvorum.model.request import ANY, Answer, Delete, Get, Put, Request, Result, Touch
from kvorum.model.topology import DEFAULT_NAMESPACE
from kvorum.sim.history import History, Kind, Operation
from kvorum.sim.scheduler import Timer
from kvorum.sim.world import World

_GIVE_UP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Basis:
    """The version that an answer gave, and which operation's answer it was."""

    number: int
    context: Context

    @classmethod
    def of(cls, answer: Operation) -> Basis:
        return cls(answer.number, answer.context)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client is about to ask for. A `quorum` of 0 leaves it to the namespace, a `ttl_s` of
    0 is for ever, or of a put the namespace's default.
    """

    kind: Kind
    key: str
    namespace: str = DEFAULT_NAMESPACE
    basis: Basis | None = None
    expect: int = ANY
    quorum: int = 0
    ttl_s: int = 0
    value: bytes = b""
    """Of a put; empty is one that no other put writes."""

    def request(self, value: bytes) -> Request:
        seen = None if self.basis is None else self.basis.context
        if self.kind == "get":
            return Get(self.namespace, self.key, self.quorum)
        if self.kind == "delete":
            return Delete(self.namespace, self.key, seen, self.expect, self.quorum)
        if self.kind == "touch":
            touch = Touch(self.namespace, self.key, self.ttl_s, 0, seen)
            return replace(touch, expect=self.expect, w=self.quorum)
        put = Put(self.namespace, self.key, JSON, value, seen, self.expect, self.quorum)
        return replace(put, ttl=self.ttl_s) if self.ttl_s else put


class Client:
    """A client that makes one request at a time."""

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._history = history
        self._current: Operation | None = None
        self._node = 0
        self._submitting = False
        self._ran_s = 0.0
        self._calm_at: tuple[int, int] | None = None
        self._then: Callable[[Operation, Basis | None], object]
        self._give_up: Timer
        world.when_down(self._on_down)

    @property
    def waiting(self) -> bool:
        return self._current is not None

    def ask(
        self, wish: Wish, node: int, then: Callable[[Operation, Basis | None], object]
    ) -> Operation:
        """Ask `node`; `then` gets the ended operation and the version in its answer, if any."""
        world = self._world
        operation = self._begin(wish)
        self._current, self._node, self._then = operation, node, then
        self._ran_s = world.runtime(node).ran_s()
        self._calm_at = world.views()
        world.trace.note(f"client > n{node} {operation}")
        after = world.scheduler.after
        after(0.0, world.runtime(node), self._submit, operation, wish.request(operation.value))
        timeout_s = operation.deadline - operation.invoked
        self._give_up = after(timeout_s + _GIVE_UP_S, None, self._end, operation, None)
        return operation

    def _begin(self, wish: Wish) -> Operation:
        settings = self._world.settings(wish.namespace)
        default = settings.read if wish.kind == "get" else settings.write
        now = self._world.scheduler.now
        operation = self._history.begin(
            wish.kind,
            wish.key,
            wish.quorum or default,
            now,
            now + settings.timeout_ms / 1000,
            None if wish.basis is None else wish.basis.number,
            wish.value,
            wish.namespace,
        )
        operation.seen = None if wish.basis is None else wish.basis.context
        default_ttl_s = settings.ttl if wish.kind == "put" else 0
        operation.ttl_s = wish.ttl_s or default_ttl_s
        operation.expect = wish.expect
        operation.looked = self._looks_at(wish)
        return operation

    def _looks_at(self, wish: Wish) -> int:
        """How many owners a coordinator promises to read from before it does what is wished.

        Where others may stand in for owners an answer does not say how many of them were asked.
        """
        settings = self._world.settings(wish.namespace)
        if settings.quorum == "sloppy" or (wish.kind == "put" and wish.expect == ANY):
            return 0
        return max(settings.replicas // 2 + 1, settings.read)

    def _submit(self, operation: Operation, request: Request) -> None:
        self._submitting = True
        self._world.submit(self._node, request, partial(self._on_reply, operation))
        self._submitting = False

    def _on_reply(self, operation: Operation, result: Result) -> None:
        operation.endings += 1
        if operation is not self._current:
            return
        operation.hasty = self._submitting
        operation.calm = self._calm_at is not None and self._calm_at == self._world.views()
        operation.ended = self._world.scheduler.now
        # A node that stands still cannot keep a deadline: only the time it ran counts.
        ran_s = self._world.runtime(self._node).ran_s() - self._ran_s
        operation.deadline += operation.ended - operation.invoked - ran_s
        basis = None
        if isinstance(result, Answer):
            operation.outcome = "acked"
            operation.strict = result.hinted == 0
            versions = result.record.versions
            operation.values = tuple(version.value for version in versions)
            operation.dots = tuple(version.dot for version in versions)
            operation.expiries = tuple(version.expires for version in versions)
            operation.context = result.record.context
            operation.created = result.created
            basis = Basis.of(operation)
            if operation.kind != "get":
                self._world.acked(operation.namespace, operation.key)
        else:
            settings = self._world.settings(operation.namespace)
            operation.strict = settings.quorum == "strict"
            operation.outcome = "failed" if result.outcome == "none" else "unknown"
            operation.error = result.code
        self._world.trace.note(f"client < n{self._node} {operation} {operation.values}")
        self._end(operation, basis)

    def _on_down(self, node: int) -> None:
        operation = self._current
        if operation is not None and node == self._node:
            operation.severed = True
            self._end(operation, None)

    def _end(self, operation: Operation, basis: Basis | None) -> None:
        if operation.outcome == "pending":
            operation.outcome = "unknown"
        self._current = None
        self._give_up.cancel()
        self._then(operation, basis)
