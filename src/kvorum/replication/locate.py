"""Locating a key: which version each of its owners holds, without changing any of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kvorum.cluster.view import ClusterView, Place
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.record import Record, decode
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.replica.expiry import visible
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Have, Read, Reply, Same

Held = dict[int, Record | None]
"""The record of each owner, EMPTY if it has none; None where it did not answer, or its record is
damaged.
"""


class Locating:
    """Asks each owner of one key for its record."""

    __slots__ = ("_held", "_operations", "_place", "_replica", "_reply", "_view", "_waiting")

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica | None,
        operations: Operations,
        place: Place,
        reply: Callable[[Place, Held], object],
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._place = place
        self._reply = reply
        self._held: Held = dict.fromkeys(place.replicas.natural)
        self._waiting = len(self._held)

    def start(self, timeout_ms: int) -> None:
        """Ask them; the reply comes when all have answered or the time is over."""
        runtime = self._operations.runtime
        for node in self._place.replicas.natural:
            if self._replica is not None and node == self._view.local:
                runtime.call_soon(self._read_own, self._replica)
            elif self._operations.is_up(node):
                question = Question(self._operations, node, partial(self._on_reply, node))
                question.ask(Read(question.op, self._place.key, b""), timeout_ms)
            else:
                runtime.call_soon(self._settle)

    def _read_own(self, replica: LocalReplica) -> None:
        try:
            data = replica.store.get(self._place.key) or b""
        except StorageError:
            self._settle()
        else:
            self._take(self._view.local, data)

    def _on_reply(self, node: int, reply: Reply | None) -> None:
        if isinstance(reply, Have):
            self._take(node, reply.record)
        elif isinstance(reply, Same):
            self._take(node, b"")
        else:
            self._settle()

    def _take(self, node: int, data: bytes) -> None:
        try:
            held = decode(self._place.key, data) if data else Record()
            self._held[node] = visible(held, self._operations.clocks)
        except CorruptRecord:
            pass  # as if it had not answered
        self._settle()

    def _settle(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._reply(self._place, self._held)
