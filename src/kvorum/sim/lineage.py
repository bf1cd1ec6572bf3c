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

A put that repeats a version (see `attribution`) replaces nothing, and what replaces this
version replaces the put. So it is lost as well when that was done before: what it was answered
with had gone. Not so if it carried a version that had not seen the replacement; then it counts
as it would have had it come right after that version.

    blind              the replacement may take effect after the put began
    with a version     the replacement is not known to that version

Sets of writes are integers with one bit a write, in order of invocation.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush

from kvorum.model.record import covers
from kvorum.sim.attribution import Attribution, Writes, members
from kvorum.sim.history import Operation, met
from kvorum.sim.lifetimes import Lifetimes


class Lineage:
    """The writes of one key that took effect or may have."""

    def __init__(self, operations: list[Operation], replicas: int, skew_s: float = 0.0) -> None:
        """`operations`: of one key, in order. `skew_s`: how far two clocks are apart at most."""
        self.writes = [
            op for op in operations if op.kind in ("put", "delete") and op.outcome != "failed"
        ]
        self.attribution = Attribution(operations, self.writes)
        self.lifetimes = Lifetimes(operations, self.attribution, skew_s)
        self._replicas = replicas
        self._invoked = [op.invoked for op in self.writes]
        self._bit = {op.number: i for i, op in enumerate(self.writes)}
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
        shown = self.attribution.sure(answer)
        for i in members(shown):
            self._effect_by[i] = min(self._effect_by[i], answer.ended)
            self._apart[i] |= shown & ~self.renewed

    def _renewed_by(self, touch: Operation) -> Writes:
        """The puts of whose values `touch` may have made a version."""
        if touch.outcome == "acked":
            return self.attribution.may(touch)
        return sum(1 << i for i, op in enumerate(self.writes) if op.kind == "put")

    def _all_gone_from(self, touches: Sequence[Operation]) -> list[float]:
        """From when on each write may leave nothing to see, for one who has met `touches`."""
        gone_from = self.lifetimes.gone_from
        return [op.invoked if op.kind == "delete" else gone_from(op, touches) for op in self.writes]

    def of(self, operation: Operation) -> Writes:
        return 1 << self._bit[operation.number]

    def met_by(self, reader: Operation) -> Writes:
        """The writes that `reader` has met, and those of whose values it has met a touch."""
        writes = sum(self.of(op) for op in self.writes if met(op, reader, self._replicas))
        for touch in self.lifetimes.touches:
            if met(touch, reader, self._replicas):
                writes |= self.attribution.sure(touch)
        return writes

    def accounted(
        self, answer: Operation | None, at: float, touches: Sequence[Operation] = ()
    ) -> Writes:
        """All writes that what `answer` shows, nothing if there is none, seen by the time `at`,
        may hold or have replaced.

        `touches`: those that whoever saw it has met.
        """
        found = 0
        all_gone_from = self._all_gone_from(touches) if touches else self._gone_from
        unseen = sum(1 << i for i, gone_from in enumerate(all_gone_from) if gone_from <= at)
        shown = 0 if answer is None else self.attribution.may(answer)
        for i in members(shown | unseen):
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
        repeats = self.attribution.repeats
        reached = settled = 1 << last
        latest = {last: self._effect_by[last]}
        heap = [(-latest[last], last)]
        while heap:
            by, i = -heap[0][0], heappop(heap)[1]
            if by < latest[i] or repeats >> i & 1:
                continue
            basis = self._basis[i]
            if repeats:
                reached |= self._repeated_before(i, by)
            if basis is None:
                before = ((1 << bisect_right(self._invoked, by)) - 1) & ~self._apart[i] & ~settled
                # Nothing that comes off the heap later can allow them a later effect.
                settled |= before
            else:
                by = min(by, basis.ended)
                before = self.attribution.may(basis) & ~settled
            for j in members(before & ~repeats):
                allowed = min(by, self._effect_by[j])
                if self._invoked[j] <= by and allowed > latest.get(j, -1.0):
                    latest[j] = allowed
                    reached |= 1 << j
                    heappush(heap, (-allowed, j))
        return reached

    def _repeated_before(self, i: int, by: float) -> Writes:
        """The puts that repeat a version which the write `i`, in effect at `by`, may have replaced,
        and cannot have known that it was gone.
        """
        basis = self._basis[i]
        shown = ~self._apart[i] if basis is None else self.attribution.may(basis)
        found = 0
        for j in members(self.attribution.repeats & shown):
            if self._invoked[j] <= by or not (self._basis[j] is None or self._knew(j, i)):
                found |= 1 << j
        return found

    def _knew(self, j: int, i: int) -> bool:
        """True if the version that the write `j` carried had seen the write `i` beyond doubt."""
        basis, dot, seen = self._basis[j], self.attribution.dot(i), self.writes[j].seen
        if dot is not None and seen is not None and i != j:
            return covers(seen, dot)
        return basis is not None and met(self.writes[i], basis, self._replicas)

    def replaced_for_sure(self) -> list[Writes]:
        """Per write, those that it covers beyond doubt: what its version had shown, and in the
        case of a blind delete what it says it removed.

        Not so what may have been touched meanwhile: there may be a version that it had not seen.
        """
        sure: list[Writes] = []
        made = self.attribution.made
        for i, (op, basis) in enumerate(zip(self.writes, self._basis, strict=True)):
            source = op if basis is None and op.kind == "delete" else basis
            covered = 0
            if source is not None:
                covered = self.attribution.sure(source) & ~self._left_by(i)
                for touch in self.lifetimes.touches:
                    known = touch is source or met(touch, source, self._replicas)
                    if not known and not met(op, touch, self._replicas):
                        covered &= ~self._renewed_by(touch)
            for j in members(covered & made & ((1 << len(sure)) - 1)):
                covered |= sure[j]
            sure.append(covered & ~self._left_by(i))
        return sure

    def _left_by(self, i: int) -> Writes:
        """The puts that may have been answered with the version that the write `i` left."""
        op = self.writes[i]
        if op.kind != "put" or not self.attribution.is_shared(op.value):
            return 0
        alike = self.attribution.alike(op.value)
        return self.attribution.may(op) & alike if op.outcome == "acked" else alike
