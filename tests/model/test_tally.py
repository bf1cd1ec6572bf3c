from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.tally import Tally


class Said(NamedTuple):
    node: int
    ack: bool


class DumbTally:
    """Remembers everything it was told and works the answer out from the start each time."""

    def __init__(self, needed: int, possible: int) -> None:
        self.needed = needed
        self.possible = possible
        self.said: list[Said] = []

    def first_words(self) -> dict[int, bool]:
        first: dict[int, bool] = {}
        for said in self.said:
            first.setdefault(said.node, said.ack)
        return first

    def acked(self) -> set[int]:
        return {node for node, ack in self.first_words().items() if ack}

    def failed(self) -> set[int]:
        return {node for node, ack in self.first_words().items() if not ack}

    def won(self) -> bool:
        return len(self.acked()) >= self.needed

    def lost(self) -> bool:
        return self.possible - len(self.failed()) < self.needed


@st.composite
def elections(draw: st.DrawFn) -> tuple[int, int, list[Said]]:
    possible = draw(st.integers(1, 7))
    needed = draw(st.integers(1, possible + 1))
    said = st.builds(Said, st.integers(0, possible - 1), st.booleans())
    return needed, possible, draw(st.lists(said, max_size=20))


@given(elections())
def test_it_agrees_with_a_tally_that_recounts_everything(
    election: tuple[int, int, list[Said]],
) -> None:
    needed, possible, sayings = election
    tally = Tally(needed, possible)
    dumb = DumbTally(needed, possible)
    for said in sayings:
        if said.ack:
            tally.ack(said.node)
        else:
            tally.fail(said.node)
        dumb.said.append(said)

        assert set(tally.acked) == dumb.acked()
        assert set(tally.failed) == dumb.failed()
        assert len(tally.acked) == len(dumb.acked())
        assert len(tally.failed) == len(dumb.failed())
        assert tally.won == dumb.won()
        assert tally.lost == dumb.lost()
        assert tally.pending == (not dumb.won() and not dumb.lost())
        assert tally.complete == (len(dumb.first_words()) == possible)
        assert [tally.has(n) for n in range(possible)] == [
            n in dumb.first_words() for n in range(possible)
        ]


@given(elections())
def test_a_decision_is_made_once_and_stands(election: tuple[int, int, list[Said]]) -> None:
    needed, possible, sayings = election
    tally = Tally(needed, possible)
    decided: tuple[bool, bool] | None = None
    for said in sayings:
        if not tally.pending:
            decided = decided or (tally.won, tally.lost)
        if said.ack:
            tally.ack(said.node)
        else:
            tally.fail(said.node)
        assert not (tally.won and tally.lost)
        assert decided is None or (tally.won, tally.lost) == decided


def test_a_duplicated_ack_is_not_a_second_copy() -> None:
    tally = Tally(2, 3)
    tally.ack(0)
    tally.ack(0)
    assert tally.pending
    tally.ack(1)
    assert tally.won
    assert tally.acked == [0, 1]


def test_an_ack_after_a_failure_does_not_count() -> None:
    tally = Tally(2, 2)
    tally.fail(1)
    tally.ack(1)
    tally.ack(0)
    assert tally.lost
    assert tally.acked == [0]
    assert tally.complete


def test_late_acks_are_still_counted_after_the_quorum() -> None:
    tally = Tally(1, 3)
    for node in (2, 0, 1):
        tally.ack(node)
    assert tally.acked == [2, 0, 1]
    assert tally.complete


@pytest.mark.parametrize(
    ("needed", "possible", "won", "lost"), [(0, 3, True, False), (4, 3, False, True)]
)
def test_some_tallies_are_decided_before_anyone_speaks(
    needed: int, possible: int, won: bool, lost: bool
) -> None:
    tally = Tally(needed, possible)
    assert (tally.won, tally.lost, tally.pending) == (won, lost, False)
