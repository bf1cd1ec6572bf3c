"""A question: one message to one peer, and the wait for its reply, whatever that is.

For background work, where a round trip may cost an object of its own. No answer (the peer is
lost, or silent for too long) is also one, and so is a refusal: `then` is called exactly once. A
peer that has announced a long reply has the time that it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.net.transport import transfer_ms
from kvorum.replication.site import Site
from kvorum.wire.messages import Have, Message, Page, Refused, Same, Wrote

TIMEOUT_MS: Final = 5000

Then = Callable[[Message | None], object]


class Question:
    __slots__ = ("_more_ms", "_node", "_site", "_then", "ended", "op")

    def __init__(self, site: Site, node: int, then: Then) -> None:
        self.ended = False
        self.op = site.next_op()
        self._site = site
        self._node = node
        self._then = then
        self._more_ms = 0
        """To wait for the reply, when the deadline comes."""

    def ask(self, message: Message, timeout_ms: int = TIMEOUT_MS) -> None:
        """Send `message`, which carries this question's `op`."""
        self._site.operations[self.op] = self
        self._site.deadlines.watch(self, timeout_ms)
        self._site.transport.send(self._node, message)

    def on_reply(self, node: int, message: Message) -> None:
        if node == self._node:
            self._end(message)

    def on_wrote(self, node: int) -> None:
        self.on_reply(node, Wrote(self.op))

    def on_same(self, node: int) -> None:
        self.on_reply(node, Same(self.op))

    def on_have(self, node: int, data: bytes) -> None:
        self.on_reply(node, Have(self.op, data))

    def on_coming(self, node: int, size: int) -> None:
        if node == self._node:
            self._more_ms = transfer_ms(size)

    def on_page(self, node: int, page: Page) -> None:
        self.on_reply(node, page)

    def on_refused(self, node: int, code: str) -> None:
        self.on_reply(node, Refused(self.op, code, ""))

    def on_peer_lost(self, node: int) -> None:
        if node == self._node:
            self._end(None)

    def on_deadline(self) -> None:
        if self._more_ms:
            self._site.deadlines.watch(self, self._more_ms)
            self._more_ms = 0
        else:
            self._end(None)

    def _end(self, reply: Message | None) -> None:
        if not self.ended:
            self.ended = True
            self._site.operations.pop(self.op, None)
            self._then(reply)
