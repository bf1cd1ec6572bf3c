"""Hand-written histories of writes that state what they expect to find."""

from __future__ import annotations

import pytest
from story import Story

from kvorum.model.request import ABSENT, EXACT, PRESENT
from kvorum.sim.history import Operation


@pytest.fixture
def story() -> Story:
    return Story()


def if_absent(put: Operation) -> Operation:
    put.expect, put.created = ABSENT, put.outcome == "acked"
    return put


def if_present(write: Operation) -> Operation:
    write.expect = PRESENT
    return write


def if_unchanged(write: Operation) -> Operation:
    write.expect = EXACT
    return write


# Values are the operations' numbers: the first operation told is 0.


def test_a_put_if_absent_after_an_acknowledged_put_is_found(story: Story) -> None:
    story.put(0, 1)
    if_absent(story.put(2, 3))
    (found,) = story.unexpected()
    assert "do not account for put #0" in found.message


def test_a_put_if_absent_beside_another_may_pass(story: Story) -> None:
    if_absent(story.put(0, 2))
    if_absent(story.put(1, 3))
    assert story.unexpected() == []


def test_a_put_if_absent_may_pass_after_a_delete(story: Story) -> None:
    story.put(0, 1)
    story.delete(2, 3, removed=b"0")
    if_absent(story.put(4, 5))
    assert story.unexpected() == []


def test_a_put_if_absent_may_pass_after_one_that_expired(story: Story) -> None:
    put = story.put(0, 1)
    put.ttl_s = 3
    later = if_absent(story.put(2, 2.5))
    assert len(story.unexpected()) == 1
    later.invoked, later.ended = 3.5, 4
    assert story.unexpected() == []


def test_but_not_if_that_was_touched(story: Story) -> None:
    story.put(0, 1).ttl_s = 3
    story.touch(1, 2, shown=b"0", ttl_s=10)
    if_absent(story.put(5, 6))
    assert len(story.unexpected()) == 1


def test_quorums_that_do_not_meet_promise_nothing() -> None:
    story = Story(quorum=1)
    story.put(0, 1)
    if_absent(story.put(2, 3))
    assert story.unexpected() == []


def test_a_put_if_absent_that_says_it_replaced_something_is_found(story: Story) -> None:
    if_absent(story.put(0, 1)).created = False
    (found,) = story.unexpected()
    assert "did not create" in found.message


def test_a_put_if_present_where_nothing_was_ever_put_is_found(story: Story) -> None:
    if_present(story.put(0, 1))
    (found,) = story.unexpected()
    assert "none can have been there" in found.message


def test_a_put_without_an_end_may_have_been_there(story: Story) -> None:
    story.put(0)
    if_present(story.put(5, 6))
    assert story.unexpected() == []


def test_a_delete_if_present_of_what_was_deleted_is_found(story: Story) -> None:
    first = story.put(0, 1)
    story.delete(2, 3, on=first)
    if_present(story.delete(4, 5))
    assert len(story.unexpected()) == 1


def test_a_delete_if_present_of_what_must_have_expired_is_found(story: Story) -> None:
    story.put(0, 1).ttl_s = 2
    late = if_present(story.delete(3.5, 4))
    assert len(story.unexpected()) == 1
    late.invoked = 2.5
    assert story.unexpected() == []


def test_a_refusal_for_lack_of_a_value_that_was_there_is_found(story: Story) -> None:
    story.put(0, 1)
    story.refuse(if_present(story.put(2, 3)))
    assert len(story.unexpected()) == 1


def test_a_refusal_for_a_value_that_was_never_there_is_found(story: Story) -> None:
    refused = story.refuse(if_absent(story.put(2, 3)))
    assert len(story.unexpected()) == 1
    story.put(2.5)
    assert story.unexpected() == []
    refused.ended = 2.25
    assert len(story.unexpected()) == 1


def test_an_exact_version_that_a_write_has_followed_is_found(story: Story) -> None:
    seen = story.put(0, 1)
    story.put(2, 3)
    if_unchanged(story.put(4, 5, on=seen))
    assert any("put #1" in found.message for found in story.unexpected())


def test_or_a_delete_or_a_touch(story: Story) -> None:
    seen = story.put(0, 1)
    story.touch(2, 3, shown=b"0")
    exact = if_unchanged(story.put(6, 7, on=seen))
    (found,) = story.unexpected()
    assert "touch #1" in found.message
    exact.outcome = "unknown"
    deletion = story.delete(4, 5)
    if_unchanged(story.delete(8, 9, on=deletion))
    assert story.unexpected() == []
    deletion.values = (b"0",)
    (found,) = story.unexpected()
    assert "delete #3" in found.message


def test_an_exact_version_may_pass_beside_another(story: Story) -> None:
    seen = story.put(0, 1)
    if_unchanged(story.put(2, 4, on=seen))
    if_unchanged(story.put(3, 5, on=seen))
    assert story.unexpected() == []


def test_an_exact_version_that_misses_a_write_is_found(story: Story) -> None:
    """It was read while the write was under way, and did not see it."""
    story.put(0, 1)
    story.put(2, 6)
    seen = story.get(3, 4, b"0")
    if_unchanged(story.put(7, 8, on=seen))
    (found,) = story.unexpected()
    assert "do not account for put #1" in found.message


def test_an_exact_put_that_leaves_something_beside_it_is_found(story: Story) -> None:
    seen = story.get(0, 1, b"")
    if_unchanged(story.put(2, 3, on=seen, beside=b"7"))
    (found,) = story.unexpected()
    assert "left [#1, #7]" in found.message


def test_a_refusal_of_a_version_that_nothing_has_followed_is_found(story: Story) -> None:
    story.put(0, 1)
    seen = story.get(2, 3, b"0")
    story.refuse(if_unchanged(story.put(4, 5, on=seen)))
    (found,) = story.unexpected()
    assert "had seen all there was" in found.message


def test_a_refusal_is_right_if_something_may_have_followed(story: Story) -> None:
    story.put(0, 1)
    seen = story.get(2, 3, b"0")
    story.put(3.5)
    story.refuse(if_unchanged(story.put(4, 5, on=seen)))
    assert story.unexpected() == []
