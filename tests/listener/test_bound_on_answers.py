"""The bound on answers that clients have not taken."""

from __future__ import annotations

import pytest

from kvorum.listener.unread_answers import UnreadAnswers
from kvorum.model.errors import Overloaded


class Reader:
    def __init__(self, unread: int, since: int) -> None:
        self.unread = unread
        self._since = since
        self.aborted = False

    def waiting(self, tick: int) -> int:
        return tick - self._since

    def abort(self) -> None:
        self.aborted = True
        self.unread = 0


def bounded(*readers: Reader) -> UnreadAnswers:
    answers = UnreadAnswers(readers, 100, stalled_ticks=4)
    answers.tick = 10
    answers.bytes = sum(reader.unread for reader in readers)
    return answers


def test_what_has_been_taken_counts_no_longer_when_the_room_is_needed() -> None:
    reader = Reader(unread=90, since=10)
    answers = bounded(reader)
    answers.set_aside(5)
    assert not answers.has_room(6)
    reader.unread = 20
    assert answers.has_room(75)
    assert not answers.has_room(76)
    answers.give_back(5)
    assert answers.has_room(80)


def test_room_is_made_at_the_cost_of_those_who_have_waited_longest() -> None:
    fresh, stalled, longest = Reader(30, since=8), Reader(30, since=6), Reader(30, since=1)
    answers = bounded(fresh, stalled, longest)
    assert answers.has_room(40)
    assert [r.aborted for r in (fresh, stalled, longest)] == [False, False, True]
    assert answers.has_room(70)
    assert [r.aborted for r in (fresh, stalled, longest)] == [False, True, True]
    with pytest.raises(Overloaded):
        answers.check_room(71)
    assert not fresh.aborted


def test_what_has_to_be_said_is_said_at_the_cost_of_others() -> None:
    last, most = Reader(60, since=10), Reader(70, since=10)
    answers = bounded(last, most)
    answers.relieve()
    assert (last.aborted, most.aborted) == (False, True)
    last.unread = 1000
    answers.relieve()
    # It is alone: cutting it off would help nobody.
    assert not last.aborted


def test_an_answer_larger_than_the_bound_is_made_where_it_is_alone() -> None:
    answers = bounded()
    assert answers.has_room(1000)
    answers.set_aside(1)
    assert not answers.has_room(1000)
