"""Hand-written histories of values that expire, and are touched."""

from __future__ import annotations

import pytest
from story import Story

from kvorum.sim.checkers import none_needless, nothing_mistimed
from kvorum.sim.history import Operation


@pytest.fixture
def story() -> Story:
    return Story()


def slowest_ms(time: float) -> int:
    return int(time * 1000) - 100


def fastest_ms(time: float) -> int:
    return int(time * 1000) + 100


def mistimed(story: Story) -> list[str]:
    return [v.message for v in nothing_mistimed(story.history, 3, slowest_ms, fastest_ms)]


def expiring(op: Operation, *expiries: int) -> Operation:
    op.expiries = expiries
    return op


# Values are the operations' numbers: the first operation told is 0.


def test_what_was_touched_has_to_be_seen_until_its_new_expiry(story: Story) -> None:
    story.put(0, 1).ttl_s = 2
    touch = story.touch(1, 2, shown=b"0", ttl_s=10)
    story.get(5, 6, b"")
    assert len(story.stale()) == 1
    touch.ttl_s = 4
    assert story.stale() == []


def test_unless_the_touch_has_no_end(story: Story) -> None:
    story.put(0, 1).ttl_s = 2
    story.touch(1, ttl_s=10)
    story.get(5, 6, b"")
    assert story.stale() == []


def test_what_was_put_for_ever_may_go_once_it_was_touched(story: Story) -> None:
    story.put(0, 1)
    touch = story.touch(2, ttl_s=2)
    assert story.lost(b"") == []
    touch.ttl_s = 0
    assert len(story.lost(b"")) == 1


def test_of_two_touches_at_the_same_time_either_may_count(story: Story) -> None:
    story.put(0, 1)
    story.touch(2, 4, shown=b"0", ttl_s=1)
    later = story.touch(3, 5, shown=b"0")
    story.get(6, 7, b"")
    assert story.stale() == []
    later.invoked = 4.5
    assert len(story.stale()) == 1


def test_a_touch_with_a_version_may_leave_an_older_expiry(story: Story) -> None:
    seen = story.put(0, 1)
    story.touch(2, 3, shown=b"0", ttl_s=1)
    story.touch(4, 5, on=seen, shown=b"0")
    story.get(6, 7, b"")
    assert story.stale() == []


def test_a_touch_that_drops_a_sibling_is_found(story: Story) -> None:
    seen = story.get(0, 0.5, b"")
    story.put(1, 2, on=seen)
    story.put(1, 2, on=seen)
    story.touch(3, 4, shown=b"1")
    assert [v.message[:9] for v in story.stale()] == ["touch #3 "]
    assert len(story.lost(b"1")) == 1


def test_what_a_touch_kept_is_not_lost_though_its_put_had_no_end(story: Story) -> None:
    story.put(0)
    story.touch(2, 3, shown=b"0")
    (found,) = story.lost(b"")
    assert "touch #1" in found.message


def test_a_touch_that_finds_nothing_after_an_acknowledged_put_is_stale(story: Story) -> None:
    story.put(0, 1)
    story.refuse(story.touch(2, 3), "not_found")
    assert len(story.stale()) == 1


def test_a_touch_that_brings_back_what_was_deleted_is_found(story: Story) -> None:
    story.put(0, 1)
    story.delete(2, 3, removed=b"0")
    touch = story.touch(4, 5, shown=b"0")
    assert len(story.revived()) == 1
    touch.invoked = 2.5
    assert story.revived() == []


def test_what_was_touched_may_live_beside_what_replaced_it_at_the_same_time(story: Story) -> None:
    seen = story.put(0, 1)
    touch = story.touch(2, 4, shown=b"0")
    story.put(3, 5, on=seen)
    story.get(6, 7, b"02")
    assert story.revived() == []
    touch.outcome = "failed"
    assert story.revived() != []


def test_and_is_no_needless_sibling(story: Story) -> None:
    story.put(0, 1)
    touch = story.touch(2, 4, shown=b"0")
    story.put(5, 6).calm = True
    story.get(7, 8, b"02")
    assert none_needless(story.history, 3, quiet_s=1) == []
    touch.outcome = "failed"
    assert len(none_needless(story.history, 3, quiet_s=1)) == 1


def test_a_put_that_gives_another_lifetime_is_found(story: Story) -> None:
    put = expiring(story.put(0, 1), 3000)
    assert len(mistimed(story)) == 1
    put.ttl_s = 2
    assert mistimed(story) == []
    expiring(put, 1899)
    assert len(mistimed(story)) == 1
    expiring(put, 3101)
    assert len(mistimed(story)) == 1


def test_a_touch_has_to_give_its_lifetime_to_all_there_is(story: Story) -> None:
    touch = expiring(story.touch(0, 1, shown=b"78", ttl_s=2), 2500, 2500)
    assert mistimed(story) == []
    expiring(touch, 2500, 0)
    assert len(mistimed(story)) == 1
    touch.basis = 0
    assert mistimed(story) == []


def test_a_read_that_shows_an_older_expiry_than_the_last_touch_is_found(story: Story) -> None:
    expiring(story.put(0, 1), 10_500).ttl_s = 10
    touch = expiring(story.touch(2, 3, shown=b"0", ttl_s=2), 4500)
    read = expiring(story.get(4, 5, b"0"), 10_500)
    (found,) = mistimed(story)
    assert "touch #1" in found
    expiring(read, 4500)
    assert mistimed(story) == []
    expiring(read, 10_500)
    touch.quorum = 1
    assert mistimed(story) == []
