"""Second questions: they come out of a budget that reads earn."""

from __future__ import annotations

from kit.runtime import Pump

from kvorum.operations.speculation import BUDGET_MAX, EARNED_BY_READ, Speculation


def test_second_questions_are_a_tenth_of_reads() -> None:
    speculation = Speculation(Pump())
    while speculation.spend(0):
        pass
    reads = 1000
    granted = 0
    while speculation.spend(reads):
        granted += 1
    assert granted in (reads * EARNED_BY_READ, reads * EARNED_BY_READ - 1)


def test_the_budget_is_bounded() -> None:
    speculation = Speculation(Pump())
    assert sum(speculation.spend(5000) for _ in range(5000)) == BUDGET_MAX
