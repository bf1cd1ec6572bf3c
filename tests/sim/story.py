"""Hand-written histories, for the tests of those who judge them."""

from __future__ import annotations

from math import inf

from kvorum.model.record import Event, join
from kvorum.sim.checkers import Violation, nothing_lost, nothing_revived, nothing_stale
from kvorum.sim.expectations import nothing_unexpected
from kvorum.sim.history import History, Kind, Operation


class Story:
    """A history of one key under N=3, told operation by operation.

    What `put`, `get` and `touch` write and show are values that are written once. `write` and
    `read` tell of values that are written again: "A1" is the value A under the dot 1.
    """

    def __init__(self, quorum: int = 2) -> None:
        self.history = History()
        self._quorum = quorum

    def _tell(
        self, kind: Kind, began: float, ended: float, basis: Operation | None, values: bytes
    ) -> Operation:
        op = self.history.begin(
            kind, "k", self._quorum, began, began + 2, None if basis is None else basis.number
        )
        op.ended, op.values = ended, tuple(values[i : i + 1] for i in range(len(values)))
        op.dots = tuple(_dot(value) for value in values)
        op.outcome, op.endings = ("unknown", 0) if ended == inf else ("acked", 1)
        op.severed = ended == inf
        if kind != "get":
            op.looked = self._quorum
        op.expiries = (0,) * len(op.values)
        return op

    def put(
        self, began: float, ended: float = inf, on: Operation | None = None, beside: bytes = b""
    ) -> Operation:
        """A put; its answer shows its own value and those `beside` it."""
        op = self._tell("put", began, ended, on, b"")
        if ended != inf:
            op.values = (op.value, *(beside[i : i + 1] for i in range(len(beside))))
            op.dots = tuple(_dot(value[0]) for value in op.values)
        op.expiries = (0,) * len(op.values)
        return op

    def write(
        self, began: float, ended: float, *shown: str, on: Operation | None = None
    ) -> Operation:
        """A put of the first of the versions `shown` in its answer. Without an end only its value
        counts.
        """
        op = self._tell("put", began, ended, on, b"")
        op.value = shown[0][:1].encode()
        op.seen = None if on is None else on.context
        if ended == inf:
            return op
        return self.show(op, *shown)

    def read(self, began: float, ended: float, *shown: str, seen: str = "") -> Operation:
        """`seen`: the dots of versions that were there and have been replaced."""
        op = self.show(self._tell("get", began, ended, None, b""), *shown)
        op.context = join((op.context, tuple(_dot(ord(dot)) for dot in seen)))
        return op

    def show(self, op: Operation, *shown: str) -> Operation:
        """Have the answer of `op` show these versions, and its version cover what `op` carried."""
        op.values = tuple(version[:1].encode() for version in shown)
        op.dots = tuple(_dot(ord(version[1])) for version in shown)
        op.expiries = (0,) * len(shown)
        op.context = join((op.seen or (), op.dots))
        return op

    def get(self, began: float, ended: float, values: bytes) -> Operation:
        return self._tell("get", began, ended, None, values)

    def delete(
        self, began: float, ended: float = inf, on: Operation | None = None, removed: bytes = b""
    ) -> Operation:
        return self._tell("delete", began, ended, on, removed)

    def touch(
        self,
        began: float,
        ended: float = inf,
        on: Operation | None = None,
        shown: bytes = b"",
        ttl_s: int = 0,
    ) -> Operation:
        """A touch; if it ended its answer shows what is `shown`, touched or not."""
        op = self._tell("touch", began, ended, on, shown)
        op.ttl_s = ttl_s
        return op

    def refuse(self, op: Operation, error: str = "precondition_failed") -> Operation:
        op.outcome, op.error = "failed", error
        op.values, op.dots, op.expiries = (), (), ()
        return op

    def stale(self) -> list[Violation]:
        return nothing_stale(self.history, 3)

    def revived(self) -> list[Violation]:
        return nothing_revived(self.history, 3)

    def unexpected(self) -> list[Violation]:
        return nothing_unexpected(self.history, 3)

    def lost(self, final: bytes) -> list[Violation]:
        return self._lost(self.get(1000, 1001, final))

    def lost_leaving(self, *shown: str) -> list[Violation]:
        return self._lost(self.read(1000, 1001, *shown))

    def _lost(self, left: Operation) -> list[Violation]:
        found = nothing_lost(self.history, {"k": left}, 3)
        self.history.operations.remove(left)
        return found


def _dot(number: int) -> Event:
    return Event(number, 1, 0)
