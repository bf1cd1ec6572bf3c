"""Second questions: they come out of a budget that reads earn."""

from __future__ import annotations

from kit.runtime import Pump

from kvorum.operations.speculation import BUDGET_MAX, EARNED_BY_READ, Speculation


class Asked:
    ended = False

    def on_slow(self) -> None:
        """Nobody waits for it."""


def test_second_questions_are_a_tenth_of_reads() -> None:
    speculation = Speculation(Pump())
    while speculation.spend():
        pass
    reads = 1000
    for _ in range(reads):
        speculation.watch(Asked(), 20)
    granted = 0
    while speculation.spend():
        granted += 1
    assert granted in (reads * EARNED_BY_READ, reads * EARNED_BY_READ - 1)


def test_the_budget_is_bounded() -> None:
    speculation = Speculation(Pump())
    for _ in range(5000):
        speculation.watch(Asked(), 20)
    assert sum(speculation.spend() for _ in range(5000)) == BUDGET_MAX
