"""Hand-written histories of values that are written again: what an answer has to have seen."""

from __future__ import annotations

import pytest
from story import Story

from kvorum.model.request import EXACT
from kvorum.sim.checkers import (
    Violation,
    none_needless,
    nothing_forgotten,
    nothing_invented,
    nothing_kept,
    nothing_mistimed,
)


@pytest.fixture
def story() -> Story:
    return Story()


def told(violations: list[Violation]) -> list[str]:
    """The operations that are blamed first."""
    return [violation.message.split(" of ")[0] for violation in violations]


# "A1" is the value A under the dot 1.


def test_a_value_written_again_may_keep_its_version(story: Story) -> None:
    story.write(0, 1, "A1")
    story.write(2, 3, "A1")
    story.read(4, 5, "A1")
    assert story.lost_leaving("A1") == []
    assert story.stale() == story.revived() == nothing_forgotten(story.history) == []


def test_and_is_lost_with_it(story: Story) -> None:
    story.write(0, 1, "A1")
    story.write(2, 3, "A1")
    story.read(4, 5)
    assert told(story.lost_leaving()) == ["put #0", "put #1"]
    assert len(story.stale()) == 2


def test_a_value_put_again_after_its_delete_may_not_be_the_old_version(story: Story) -> None:
    story.write(0, 1, "A1")
    story.delete(2, 3, removed=b"A")
    seen = story.read(4, 5, seen="19")
    again = story.show(story.write(6, 7, "A1", on=seen), "A1")
    again.context = story.history.operations[0].context
    assert told(nothing_forgotten(story.history)) == ["put #3"]
    assert told(story.lost_leaving()) == ["put #3"]
    story.read(8, 9)
    assert len(story.stale()) == 1


def test_whatever_version_the_answer_gives(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.delete(2, 3, on=first)
    seen = story.read(4, 5, seen="19")
    story.write(6, 7, "A1", on=seen)
    assert nothing_forgotten(story.history) == []
    assert told(story.lost_leaving()) == ["put #3"]
    story.read(8, 9, "A1")
    assert "which delete #1" in story.revived()[0].message


def test_a_new_version_of_it_is_right(story: Story) -> None:
    story.write(0, 1, "A1")
    story.delete(2, 3, removed=b"A")
    seen = story.read(4, 5, seen="19")
    story.write(6, 7, "A2", on=seen)
    story.read(8, 9, "A2")
    assert story.lost_leaving("A2") == []
    assert story.stale() == story.revived() == nothing_forgotten(story.history) == []


def test_but_has_to_be_there(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.write(2, 3, "B2", on=first)
    story.write(4, 5, "A3")
    story.read(6, 7, "B2")
    assert told(story.lost_leaving("B2")) == ["put #2"]
    assert len(story.stale()) == 1


def test_the_old_version_may_not_come_back_in_its_place(story: Story) -> None:
    first = story.write(0, 1, "A1")
    second = story.write(2, 3, "B2", on=first)
    story.write(4, 5, "A3", on=second)
    story.read(6, 7, "A1")
    assert told(story.lost_leaving("A1")) == ["put #1", "put #2"]
    assert any("put #0" in found.message for found in story.revived())


def test_what_replaces_a_version_replaces_those_that_repeat_it(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.write(2, 3, "A1")
    story.write(4, 5, "B2", on=first)
    assert story.lost_leaving("B2") == []


def test_a_blind_put_is_lost_if_its_version_was_replaced_before(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.write(2, 3, "B2", on=first)
    again = story.write(4, 5, "A1")
    assert told(story.lost_leaving("B2")) == ["put #2"]
    again.invoked = 2.5
    assert story.lost_leaving("B2") == []


def test_a_put_whose_version_had_not_seen_the_replacement_is_none(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.write(2, 3, "B2", on=first)
    story.write(4, 5, "A1", on=first)
    assert story.lost_leaving("B2") == []


def test_nor_is_it_by_a_blind_one(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.write(2, 3, "B2")
    story.write(4, 5, "A1", on=first)
    assert story.lost_leaving("B2") == []


def test_siblings_resolved_with_one_of_their_values_may_not_stay(story: Story) -> None:
    story.write(0, 3, "A1")
    story.write(1, 3, "B2")
    siblings = story.read(4, 5, "A1", "B2")
    story.write(6, 7, "A1", on=siblings)
    story.read(8, 9, "A1", "B2")
    (found,) = story.revived()
    assert "the value of put #1" in found.message


def test_nor_may_the_others_vanish_without_a_version_that_replaces_them(story: Story) -> None:
    story.write(0, 3, "A1")
    story.write(1, 3, "B2")
    siblings = story.read(4, 5, "A1", "B2")
    again = story.write(6, 7, "A1", on=siblings)
    assert told(story.lost_leaving("A1")) == ["put #1"]
    story.show(again, "A3")
    assert story.lost_leaving("A3") == []


def test_siblings_of_one_value_are_two_versions(story: Story) -> None:
    empty = story.read(0, 1)
    story.write(2, 3, "A1", on=empty)
    story.write(3.5, 4, "A2", "A1", on=empty)
    siblings = story.read(5, 6, "A1", "A2")
    assert story.lost_leaving("A1", "A2") == []
    assert told(story.lost_leaving("A1")) == ["put #2"]
    story.write(7, 8, "C3", on=siblings)
    assert story.lost_leaving("C3") == []
    story.read(9, 9.5, "A2", "C3")
    assert all("the value of put #2" in found.message for found in story.revived())
    assert story.revived() != []


def test_a_put_without_an_answer_may_have_made_the_version(story: Story) -> None:
    story.write(0, float("inf"), "A")
    story.write(2, 3, "A2")
    story.read(4, 5, "A1")
    assert story.stale() == []
    story.history.operations[0].invoked = 6
    assert told(story.stale()) == ["get #2"]


def test_but_not_one_that_was_shown_before_it_began(story: Story) -> None:
    first = story.write(0, 1, "A1")
    story.write(2, 3, "B2", on=first)
    story.write(4, float("inf"), "A")
    assert told(story.lost_leaving("A1")) == ["put #1"]
    assert story.lost_leaving("A3") == []


def test_a_version_that_a_touch_made_may_be_of_any_put_of_the_value(story: Story) -> None:
    story.write(0, 1, "A1")
    story.write(2, 3, "A1")
    story.show(story.touch(4, 5), "A2")
    story.read(6, 7, "A2")
    assert story.lost_leaving("A2") == []
    assert story.stale() == []


def test_no_put_may_be_the_reason_that_another_of_its_value_expires_late(story: Story) -> None:
    story.write(0, 1, "A1").ttl_s = 2
    story.show(story.touch(1.5, 2), "A2").ttl_s = 10
    story.write(3, 4, "A3").ttl_s = 2
    story.read(6, 7)
    assert told(story.stale()) == []


def test_an_exact_version_may_pass_if_the_version_was_only_repeated(story: Story) -> None:
    seen = story.write(0, 1, "A1")
    again = story.write(2, 3, "A1")
    story.write(4, 5, "B2", on=seen).expect = EXACT
    assert story.unexpected() == []
    story.show(again, "A3")
    assert len(story.unexpected()) == 2


def test_a_value_is_invented_only_if_all_its_puts_were_refused(story: Story) -> None:
    refused = story.write(0, 1, "A1")
    story.refuse(refused)
    story.read(2, 3, "A2")
    assert len(nothing_invented(story.history)) == 1
    assert len(nothing_kept(story.history, {"k": {0: (b"A",)}})) == 1
    story.write(0, 1, "A2")
    assert nothing_invented(story.history) == []
    assert nothing_kept(story.history, {"k": {0: (b"A",)}}) == []


def test_an_expiry_beside_its_own_is_no_matter_of_a_put(story: Story) -> None:
    def clock(time: float) -> int:
        return int(time * 1000)

    put = story.write(0, 1, "A1", "A2")
    put.ttl_s, put.expiries = 2, (2500, 0)
    assert nothing_mistimed(story.history, 3, clock, clock) == []
    put.expiries = (0, 0)
    assert len(nothing_mistimed(story.history, 3, clock, clock)) == 2


def test_a_version_that_was_only_repeated_is_no_needless_sibling(story: Story) -> None:
    story.write(0, 3, "A1")
    story.write(1, 3, "B2")
    story.read(4, 5, "A1", "B2")
    story.write(8, 9, "A1").calm = True
    assert none_needless(story.history, 3, quiet_s=1) == []
    story.write(10, 11, "A3").calm = True
    story.read(12, 13, "A3", "B2")
    assert len(none_needless(story.history, 3, quiet_s=1)) == 1
