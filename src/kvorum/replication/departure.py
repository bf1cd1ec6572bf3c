"""Departure: how a node that is about to stop hands its part over, so that no write ends unknown.

    the node that stops                     every other node
    │── Leaving ───────────────────────────>│  forwards no more writes to it
    │<────────────────── Forwarded, ... ────│  waits for the answers of those it has forwarded
    │<──────────────────────────── Released │

It coordinates no write of a client any more, unless no other owner of the key stays; what is
forwarded to it is answered as ever until it shuts the door, and refused from then on, before
anything is done, so that the sender may turn to another owner. It stops once all nodes that it is
linked with have released it, and no operation for a client is under way: the writes that it has
coordinated have been acknowledged by all owners, or hints are noted for them. As a replica it
serves until its links close.

A node that hears of a departure takes the other one to be down as soon as its link is lost. Its
next life is another node: what was said of the last one ends when a link to it opens.
"""

from __future__ import annotations

from typing import Final

from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.replication.forward import ForwardOperation
from kvorum.wire.messages import Leaving, Released

_LOOK_AGAIN_S: Final = 0.01
"""How often a node looks whether it waits for a node that is leaving. Rarely any does."""


class Departure:
    """One node's part in its own departure, and in those of others."""

    __slots__ = ("_local", "_operations", "_waiting_for")

    def __init__(self, operations: Operations, local: int) -> None:
        self._operations = operations
        self._local = local
        self._waiting_for: set[int] = set()
        """The nodes that have been told that this one leaves, and have not released it."""

    # This node's own

    @property
    def begun(self) -> bool:
        """True if this node is leaving."""
        return self._local in self._operations.leaving

    def begin(self, others: list[int]) -> None:
        """Coordinate no more where another owner can, and tell `others`."""
        self._operations.leaving.add(self._local)
        for node in others:
            if self._operations.is_up(node):
                self._tell(node)

    def _tell(self, node: int) -> None:
        self._waiting_for.add(node)
        question = Question(self._operations, node, lambda _: self._waiting_for.discard(node))
        question.ask(Leaving(question.op))

    @property
    def is_complete(self) -> bool:
        """True if no node waits for this one, and nothing is under way here for a client."""
        if self._waiting_for:
            return False
        return all(type(operation) is Question for operation in self._operations.table.values())

    # Those of others

    def on_leaving(self, node: int, message: Leaving) -> None:
        """`node` is about to stop."""
        self._operations.leaving.add(node)
        self._release(node, message.op)

    def _release(self, node: int, op: int) -> None:
        operations = self._operations
        if node not in operations.leaving:
            return
        if any(
            isinstance(operation, ForwardOperation) and operation.coordinator == node
            for operation in operations.table.values()
        ):
            operations.runtime.call_later(_LOOK_AGAIN_S, self._release, node, op)
        else:
            operations.transport.send(node, Released(op))

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open: to its next life, if it was leaving."""
        self._operations.leaving.discard(node)
        if self.begun:
            self._tell(node)

    def on_peer_lost(self, node: int) -> None:
        """The link to `node` is lost. If it was leaving, it has left."""
        if node in self._operations.leaving:
            self._operations.suspects.add(node)
