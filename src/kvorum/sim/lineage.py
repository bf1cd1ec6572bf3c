"""Lineage: which writes of a key another write may have replaced.

w -> x, "x may have replaced w", holds

    if x carries a version   only if the answer which gave that version showed w
    if x is blind            if x may have taken effect after w began, unless some answer
                             showed both alive: a replaced version never comes back

Replacement is transitive, but time goes one way along a chain: each write in it must have
been able to take effect after the one before it. The latest moment of an effect is the end
of the operation, or the first answer that shows it, whichever is earlier; an operation
without an end may take effect at any later time.

An acknowledged write is lost when no chain leads from it to anything that is left. A delete
leaves nothing to see, so each that may have gone before counts as left; so does a put that
may have expired, by any clock, see `lifetimes`.

A touch replaces no value, so it is in no chain. But it makes a version that a write at the
same time cannot have seen: a value that was touched may live beside one that replaced it.

Sets of writes are integers with one bit a write, in order of invocation.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush

from kvorum.sim.history import Operation, met
from kvorum.sim.lifetimes import Lifetimes

Writes = int


class Lineage:
    """The writes of one key that took effect or may have."""

    __slots__ = (
        "_apart",
        "_basis",
        "_bit",
        "_by_value",
        "_deletes",
        "_effect_by",
        "_gone_from",
        "_invoked",
        "_reaching",
        "lifetimes",
        "renewed",
        "writes",
    )

    def __init__(self, operations: list[Operation], skew_s: float = 0.0) -> None:
        """`operations`: all of one key, in order of invocation. `skew_s`: how far any two clocks
        of the cluster are apart at most.
        """
        self.writes = [
            op for op in operations if op.kind in ("put", "delete") and op.outcome != "failed"
        ]
        self.lifetimes = Lifetimes(operations, skew_s)
        self._invoked = [op.invoked for op in self.writes]
        self._bit = {op.number: i for i, op in enumerate(self.writes)}
        self._by_value = {op.value: i for i, op in enumerate(self.writes) if op.kind == "put"}
        self.renewed = 0
        for touch in self.lifetimes.touches:
            self.renewed |= self._renewed_by(touch)
        self._gone_from = self._all_gone_from(())
        self._effect_by = [op.done_by for op in self.writes]
        self._apart: list[Writes] = [0] * len(self.writes)
        for op in operations:
            self._learn(op)
        by_number = {op.number: op for op in operations}
        self._basis = [None if op.basis is None else by_number[op.basis] for op in self.writes]
        self._reaching: dict[int, Writes] = {}

    def _learn(self, answer: Operation) -> None:
        """What `answer` tells of the writes it shows."""
        shown = self.of_values(answer.values)
        for i in members(shown):
            self._effect_by[i] = min(self._effect_by[i], answer.ended)
            self._apart[i] |= shown & ~self.renewed

    def _renewed_by(self, touch: Operation) -> Writes:
        """The puts of whose values `touch` may have made a version."""
        if touch.outcome == "acked":
            return self.of_values(touch.values)
        return sum(1 << i for i in self._by_value.values())

    def _all_gone_from(self, touches: Sequence[Operation]) -> list[float]:
        """From when on each write may leave nothing to see, for one who has met `touches`."""
        gone_from = self.lifetimes.gone_from
        return [op.invoked if op.kind == "delete" else gone_from(op, touches) for op in self.writes]

    def of(self, operation: Operation) -> Writes:
        return 1 << self._bit[operation.number]

    def of_values(self, values: Iterable[bytes]) -> Writes:
        """The writes of `values`; those that nobody wrote are another checker's matter."""
        writes = 0
        for value in values:
            i = self._by_value.get(value)
            if i is not None:
                writes |= 1 << i
        return writes

    def met_by(self, reader: Operation, replicas: int) -> Writes:
        """The writes that `reader` has met, and those of whose values it has met a touch."""
        writes = sum(self.of(op) for op in self.writes if met(op, reader, replicas))
        for touch in self.lifetimes.touches:
            if met(touch, reader, replicas):
                writes |= self.of_values(touch.values)
        return writes

    def accounted(
        self, values: Iterable[bytes], at: float, touches: Sequence[Operation] = ()
    ) -> Writes:
        """All writes that `values`, seen by the time `at`, may hold or have replaced.

        `touches`: those that whoever saw them has met.
        """
        found = 0
        all_gone_from = self._all_gone_from(touches) if touches else self._gone_from
        unseen = sum(1 << i for i, gone_from in enumerate(all_gone_from) if gone_from <= at)
        for i in members(self.of_values(values) | unseen):
            found |= self._may_end_in(i)
        return found

    def _may_end_in(self, last: int) -> Writes:
        """The writes from which a chain leads to the write `last`, itself included."""
        known = self._reaching.get(last)
        if known is None:
            known = self._reaching[last] = self._search(last)
        return known

    def _search(self, last: int) -> Writes:
        """Widest path first: a write is settled with the latest effect any chain allows it."""
        reached = settled = 1 << last
        latest = {last: self._effect_by[last]}
        heap = [(-latest[last], last)]
        while heap:
            by, i = -heap[0][0], heappop(heap)[1]
            if by < latest[i]:
                continue
            basis = self._basis[i]
            if basis is None:
                before = ((1 << bisect_right(self._invoked, by)) - 1) & ~self._apart[i] & ~settled
                # Nothing that comes off the heap later can allow them a later effect.
                settled |= before
            else:
                by = min(by, basis.ended)
                before = self.of_values(basis.values) & ~settled
            for j in members(before):
                allowed = min(by, self._effect_by[j])
                if self._invoked[j] <= by and allowed > latest.get(j, -1.0):
                    latest[j] = allowed
                    reached |= 1 << j
                    heappush(heap, (-allowed, j))
        return reached

    def replaced_for_sure(self, replicas: int) -> list[Writes]:
        """Per write, those that it covers beyond doubt: what its version had shown, and in the
        case of a blind delete what it says it removed.

        Not so what may have been touched meanwhile: there may be a version that it had not seen.
        """
        sure: list[Writes] = []
        for op, basis in zip(self.writes, self._basis, strict=True):
            source = op if basis is None and op.kind == "delete" else basis
            covered = 0
            if source is not None:
                covered = self.of_values(source.values)
                for touch in self.lifetimes.touches:
                    known = touch is source or met(touch, source, replicas)
                    if not known and not met(op, touch, replicas):
                        covered &= ~self._renewed_by(touch)
            for i in members(covered & ((1 << len(sure)) - 1)):
                covered |= sure[i]
            sure.append(covered)
        return sure


def members(writes: Writes) -> Iterator[int]:
    """The bits of `writes`, lowest first."""
    while writes:
        lowest = writes & -writes
        yield lowest.bit_length() - 1
        writes ^= lowest
