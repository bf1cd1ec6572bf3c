"""Forwarding: a write is sent to its coordinator, and the answer back, in one hop.

A coordinator whose disk is full, whose clock is wrong where it is to give a lifetime, or that is
about to stop, says so before it has done anything; then, and only then, the request may be sent
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import (
    ClockWrong,
    ConnectionFailed,
    DiskFull,
    KvorumError,
    NodeStopping,
    TimeoutExpired,
)
from kvorum.model.request import Change, Failure, Result
from kvorum.operations.operations import Operations
from kvorum.wire.messages import Forward, Forwarded, Refused, Reply

_DETOURS: Final = (DiskFull.code, ClockWrong.code, NodeStopping.code)


class ForwardOperation:
    """Waits for the answer of `coordinator`, the node that a request was forwarded to."""

    __slots__ = ("_detour", "_op", "_operations", "_reply", "_view", "coordinator", "ended")

    key = b""

    def __init__(
        self,
        view: ClusterView,
        operations: Operations,
        coordinator: int,
        reply: Callable[[Result], object],
        detour: Callable[[Failure], object],
    ) -> None:
        """`detour` is called in the place of `reply` if `coordinator` cannot, and another
        node may.
        """
        self.ended = False
        self._view = view
        self._operations = operations
        self.coordinator = coordinator
        self._reply = reply
        self._detour = detour
        self._op = operations.next_op()

    def start(self, request: Change, timeout_ms: int) -> None:
        self._operations.counters.forwards += 1
        self._operations.table[self._op] = self
        self._operations.transport.send(self.coordinator, Forward(self._op, request))
        self._operations.deadlines.watch(self, timeout_ms)

    def on_reply(self, _node: int, message: Reply) -> None:
        if isinstance(message, Forwarded):
            self._take(message.result)
        elif isinstance(message, Refused):
            self._take(self._nothing_done())

    def _take(self, result: Result) -> None:
        if self.ended:
            return
        self.ended = True
        self._operations.table.pop(self._op, None)
        if isinstance(result, Failure) and result.code in _DETOURS:
            self._detour(result)
        else:
            self._reply(result)

    def _nothing_done(self) -> Failure:
        """The coordinator is at another epoch than this node, in which the key has other owners."""
        name = self._view.name(self.coordinator)
        return Failure.of(
            ConnectionFailed(
                f"Nothing was written: {name}, the coordinator of the key, has other nodes in its "
                "cluster file than the node that was asked. Give all nodes the same file."
            )
        )

    def on_peer_lost(self, node: int) -> None:
        if node == self.coordinator:
            self._fail(ConnectionFailed, "the link broke")

    def on_deadline(self) -> None:
        self._operations.counters.timeouts += 1
        self._fail(TimeoutExpired, "the deadline passed")

    def _fail(self, kind: type[KvorumError], why: str) -> None:
        name = self._view.name(self.coordinator)
        error = kind(
            f"Node {name}, the coordinator of the key, has not answered: {why}. "
            "The write may still take effect: read the key before you repeat it.",
            outcome="unknown",
        )
        self._take(Failure.of(error))


class ForwardReply:
    """Carries the answer of a forwarded request back to the node that sent it."""

    __slots__ = ("_node", "_op", "_operations")

    def __init__(self, operations: Operations, node: int, op: int) -> None:
        self._operations = operations
        self._node = node
        self._op = op

    def send(self, result: Result) -> None:
        self._operations.transport.send(self._node, Forwarded(self._op, result))
