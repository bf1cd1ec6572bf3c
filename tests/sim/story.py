"""Hand-written histories, for the tests of those who judge them."""

from __future__ import annotations

from math import inf

from kvorum.sim.checkers import Violation, nothing_lost, nothing_revived, nothing_stale
from kvorum.sim.expectations import nothing_unexpected
from kvorum.sim.history import History, Kind, Operation


class Story:
    """A history of one key under N=3, told operation by operation."""

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
        op.expiries = (0,) * len(op.values)
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
        op.outcome, op.error, op.values, op.expiries = "failed", error, (), ()
        return op

    def stale(self) -> list[Violation]:
        return nothing_stale(self.history, 3)

    def revived(self) -> list[Violation]:
        return nothing_revived(self.history, 3)

    def unexpected(self) -> list[Violation]:
        return nothing_unexpected(self.history, 3)

    def lost(self, final: bytes) -> list[Violation]:
        left = self.get(1000, 1001, final)
        return nothing_lost(self.history, {"k": left})
