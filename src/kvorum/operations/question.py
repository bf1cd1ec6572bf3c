"""A question: one message to one node, and the wait for its reply.

For background work, where each round trip may have an object of its own. `then` is called exactly
once: with the reply, which may be a refusal, or with None if the link is lost or the time is over.
A node that has announced a long reply has the time that it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.links.transport import transfer_ms
from kvorum.operations.operations import Operations
from kvorum.wire.messages import Coming, Message, Reply

TIMEOUT_MS: Final = 5000

Then = Callable[[Reply | None], object]


class Question:
    """One message to one node that awaits its reply: an `Operation`."""

    __slots__ = ("_more_ms", "_node", "_operations", "_then", "ended", "op")

    key = b""

    def __init__(self, operations: Operations, node: int, then: Then) -> None:
        """`then` is given the reply; None if there was none."""
        self.ended = False
        self.op = operations.next_op()
        self._operations = operations
        self._node = node
        self._then = then
        self._more_ms = 0
        """How many milliseconds longer to wait when the deadline comes: a long reply was
        announced.
        """

    def ask(self, message: Message, timeout_ms: int = TIMEOUT_MS) -> None:
        """Send `message`, which carries this question's `op`."""
        operations = self._operations
        operations.table[self.op] = self
        operations.deadlines.watch(self, timeout_ms)
        operations.transport.send(self._node, message)

    def on_reply(self, node: int, message: Reply) -> None:
        if node != self._node:
            return
        if isinstance(message, Coming):
            self._more_ms = transfer_ms(message.size)
        else:
            self._end(message)

    def on_peer_lost(self, node: int) -> None:
        if node == self._node:
            self._end(None)

    def on_deadline(self) -> None:
        if self._more_ms:
            self._operations.deadlines.watch(self, self._more_ms)
            self._more_ms = 0
        else:
            self._end(None)

    def _end(self, reply: Reply | None) -> None:
        if not self.ended:
            self.ended = True
            self._operations.end(self.op)
            self._then(reply)
