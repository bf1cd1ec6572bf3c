"""Operations: the requests that a node has under way, and what they share.

An operation is an object with callbacks, not a task. A table has it under a number, which travels
with its messages and comes back in the replies. An operation that has ended leaves the table, so a
late or repeated reply to it means nothing. The first number is random: a reply that was meant for
an operation of this node's last life finds none.

All replies come in through `on_reply`, which hands them to the operation whose number they carry.
"""

from __future__ import annotations

from operator import methodcaller
from typing import Protocol

from kvorum.cluster.clocks import Clocks
from kvorum.links.transport import Transport
from kvorum.operations.counters import Counters
from kvorum.operations.pace import Pace
from kvorum.operations.speculation import Speculation
from kvorum.runtime.deadlines import Deadlines
from kvorum.runtime.ports import Runtime
from kvorum.wire.messages import Reply


class Operation(Protocol):
    """A request under way: what replies, lost links and deadlines are told to."""

    @property
    def ended(self) -> bool:
        """True once nothing that follows matters to it."""

    @property
    def key(self) -> bytes:
        """The storage key of the record that it reads or writes; b"" if it is about none."""

    def on_reply(self, node: int, message: Reply) -> None:
        """`node` answers. A kind of reply that the operation never asked for means nothing."""

    def on_peer_lost(self, node: int) -> None:
        """`node` will not answer: its link is lost, or it is taken to be down."""

    def on_deadline(self) -> None:
        """Its time is over."""


class Operations:
    """The operations of one node: their numbers, deadlines and pace, and the way to other nodes.

    `suspects`: the nodes that are taken to be down. `leaving`: the nodes, perhaps this one among
    them, that have said that they are about to stop; each until a link to its next life is open.
    """

    __slots__ = (
        "_last_op",
        "_local",
        "clocks",
        "counters",
        "deadlines",
        "leaving",
        "pace",
        "runtime",
        "speculation",
        "suspects",
        "table",
        "transport",
    )

    def __init__(self, local: int, runtime: Runtime, transport: Transport, clocks: Clocks) -> None:
        """`local`: this node's number. `clocks`: by which lifetimes are judged."""
        self._local = local
        self.runtime = runtime
        self.transport = transport
        self.clocks = clocks
        self.table: dict[int, Operation] = {}
        self.deadlines: Deadlines[Operation] = Deadlines(runtime, methodcaller("on_deadline"))
        self.speculation = Speculation(runtime)
        self.pace = Pace(runtime)
        self.counters = Counters()
        self.suspects: set[int] = set()
        self.leaving: set[int] = set()
        self._last_op = runtime.rng.getrandbits(62)

    def next_op(self) -> int:
        """The number for an operation that begins."""
        self._last_op += 1
        return self._last_op

    def end(self, op: int) -> None:
        """Take the operation with this number out of the table: no reply can reach it any more."""
        self.table.pop(op, None)

    def is_up(self, node: int) -> bool:
        """True if `node` can be reached, as far as is known, and is no suspect; always of this
        node.
        """
        if node == self._local:
            return True
        return node not in self.suspects and self.transport.is_up(node)

    def left_ms(self, deadline: float) -> int:
        """The time until `deadline` (monotonic, s) in ms; 1 if there is none."""
        return max(1, int((deadline - self.runtime.now()) * 1000))

    def on_reply(self, node: int, message: Reply) -> None:
        """Hand a reply to the operation it is for, if that is still under way."""
        operation = self.table.get(message.op)
        if operation is not None:
            operation.on_reply(node, message)

    def abandon(self, node: int) -> None:
        """Tell all operations that `node` will not answer."""
        for operation in list(self.table.values()):
            operation.on_peer_lost(node)

    def clear(self) -> None:
        """Forget all operations; none of them is answered any more."""
        self.table.clear()
        self.deadlines.clear()
        self.speculation.clear()
        self.leaving.clear()
