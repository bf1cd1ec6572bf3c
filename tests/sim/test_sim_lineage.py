"""Lineage against a dumb version that tries every chain."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st

from kvorum.sim.attribution import members
from kvorum.sim.history import History, Operation
from kvorum.sim.lineage import Lineage


@st.composite
def histories(draw: st.DrawFn) -> list[Operation]:
    """Operations on one key, in order of invocation, with answers that nobody vouches for."""
    history = History()
    began = 0
    for number in range(draw(st.integers(1, 9))):
        began += draw(st.integers(1, 3))
        answered = [op.number for op in history.operations if op.ended < began]
        kind = draw(st.sampled_from(["get", "put", "put", "delete"]))
        basis = None
        if kind != "get" and answered:
            basis = draw(st.none() | st.sampled_from(answered))
        op = history.begin(kind, "k", 2, began, inf, basis)  # type: ignore[arg-type]
        outcome = draw(st.sampled_from(["acked", "acked", "acked", "unknown", "failed"]))
        op.outcome = outcome  # type: ignore[assignment]
        if outcome == "acked":
            op.ended = began + draw(st.integers(0, 8))
            op.values = tuple(
                b"%d" % value for value in sorted(draw(st.sets(st.integers(0, number), max_size=2)))
            )
    return history.operations


class Chains:
    """The rules of `lineage.py`, word by word."""

    def __init__(self, operations: list[Operation]) -> None:
        self.operations = operations
        self.writes = [op for op in operations if op.kind != "get" and op.outcome != "failed"]
        self.values = {op.value: op for op in self.writes if op.kind == "put"}

    def effect_by(self, write: Operation) -> float:
        shown = [op.ended for op in self.operations if write.value and write.value in op.values]
        return min([write.ended if write.outcome == "acked" else inf, *shown])

    def apart(self, a: Operation, b: Operation) -> bool:
        return any(a.value in op.values and b.value in op.values for op in self.operations)

    def reaches(self, write: Operation, last: Operation, since: float, seen: list[int]) -> bool:
        """A chain leads from `write`, in effect no earlier than `since`, to `last`."""
        if write is last:
            return True
        return any(
            self.reaches(after, last, max(since, after.invoked), [*seen, after.number])
            for after in self.writes
            if after.number not in seen and self.may_replace(write, after, since)
        )

    def may_replace(self, write: Operation, after: Operation, since: float) -> bool:
        if since > self.effect_by(after):
            return False
        if after.basis is None:
            return not (write.value and after.value and self.apart(write, after))
        basis = next(op for op in self.operations if op.number == after.basis)
        shown = write.kind == "delete" or write.value in basis.values
        return shown and since <= basis.ended

    def accounted(self, answer: Operation) -> set[int]:
        ends = [self.values[value] for value in answer.values if value in self.values]
        ends += [op for op in self.writes if op.kind == "delete" and op.invoked <= answer.ended]
        return {
            op.number
            for op in self.writes
            for last in ends
            if self.reaches(op, last, op.invoked, [op.number])
        }


@settings(max_examples=200)
@given(histories())
def test_it_finds_what_trying_every_chain_finds(operations: list[Operation]) -> None:
    lineage, chains = Lineage(operations, 3), Chains(operations)
    for answer in operations:
        if answer.outcome == "acked":
            found = lineage.accounted(answer, answer.ended)
            assert {lineage.writes[i].number for i in members(found)} == chains.accounted(answer)


@given(st.integers(0, 1 << 70))
def test_members_are_the_bits(writes: int) -> None:
    assert sum(1 << i for i in members(writes)) == writes
