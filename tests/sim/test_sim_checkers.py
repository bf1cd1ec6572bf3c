"""Hand-written histories: those that must be refused, and the nearest ones that must pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
from story import Story

from kvorum.sim.checkers import (
    ended_once,
    none_needless,
    nothing_damaged,
    nothing_invented,
    nothing_kept,
    replicas_equal,
    undisturbed,
)
from kvorum.sim.entry_counts import counts_exact


@pytest.fixture
def story() -> Story:
    return Story()


# Values are the operations' numbers: the first operation told is 0.


def test_a_lost_write_is_found(story: Story) -> None:
    story.put(0, 1)
    assert "neither left nor replaced" in story.lost(b"")[0].message


def test_a_write_that_is_left_is_not_lost(story: Story) -> None:
    story.put(0, 1)
    assert story.lost(b"0") == []


def test_a_write_of_unknown_outcome_may_be_lost(story: Story) -> None:
    story.put(0)
    assert story.lost(b"") == []


def test_a_later_blind_write_replaces(story: Story) -> None:
    story.put(0, 1)
    story.put(2, 3)
    assert story.lost(b"1") == []


def test_an_earlier_blind_write_does_not(story: Story) -> None:
    story.put(0, 1)
    story.put(2, 3)
    assert len(story.lost(b"0")) == 1


def test_concurrent_blind_writes_may_replace_each_other(story: Story) -> None:
    story.put(0, 3)
    story.put(2, 4)
    assert story.lost(b"0") == []


def test_a_blind_write_without_an_end_may_replace_what_came_later(story: Story) -> None:
    story.put(0)
    story.put(5, 6)
    assert story.lost(b"0") == []


def test_unless_it_was_seen_before_that(story: Story) -> None:
    story.put(0)
    story.get(2, 3, b"0")
    story.put(5, 6)
    assert len(story.lost(b"0")) == 1


def test_unless_both_were_seen_alive(story: Story) -> None:
    story.put(0, 10)
    story.put(5, 6)
    story.get(11, 12, b"01")
    assert len(story.lost(b"0")) == 1


def test_a_write_with_a_version_replaces_what_the_version_showed(story: Story) -> None:
    story.put(0, 1)
    seen = story.get(2, 3, b"0")
    story.put(4, 5, on=seen)
    assert story.lost(b"2") == []


def test_and_nothing_else(story: Story) -> None:
    story.put(0, 1)
    seen = story.get(2, 3, b"0")
    story.put(4, 5)
    story.put(6, 7, on=seen)
    assert [v.message[:9] for v in story.lost(b"3")] == ["put #2 of"]


def test_but_what_that_had_replaced_counts_as_replaced(story: Story) -> None:
    story.put(0, 1)
    first = story.put(2, 3)
    story.put(4, 5, on=first)
    assert story.lost(b"2") == []


def test_a_chain_does_not_go_back_in_time(story: Story) -> None:
    # 0 has no end and may replace 2; but 1 ended before 2 began, so it cannot have replaced a
    # 0 that replaced 2.
    story.put(0)
    story.put(1, 2)
    story.put(5, 6)
    assert [v.message[:9] for v in story.lost(b"1")] == ["put #2 of"]


def test_a_delete_replaces_and_leaves_nothing_to_see(story: Story) -> None:
    story.put(0, 1)
    story.delete(2, 3)
    assert story.lost(b"") == []


def test_a_delete_with_a_version_removes_only_what_that_showed(story: Story) -> None:
    seen = story.put(0, 1)
    story.put(2, 3)
    story.delete(4, 5, on=seen)
    assert [v.message[:9] for v in story.lost(b"")] == ["put #1 of"]


def test_a_delete_that_came_first_removes_nothing(story: Story) -> None:
    story.delete(0, 1)
    story.put(2, 3)
    assert len(story.lost(b"")) == 1


def test_a_delete_that_was_refused_removes_nothing(story: Story) -> None:
    story.put(0, 1)
    story.delete(2, 3).outcome = "failed"
    assert len(story.lost(b"")) == 1


def test_a_version_read_after_a_delete_covers_what_the_delete_removed(story: Story) -> None:
    story.put(0, 1)
    story.delete(2, 3)
    seen = story.get(4, 5, b"")
    story.put(6, 7, on=seen)
    assert story.lost(b"3") == []


def test_a_stale_read_is_found(story: Story) -> None:
    story.put(0, 1)
    story.put(2, 3)
    story.get(4, 5, b"0")
    (found,) = story.stale()
    assert "do not account for put #1" in found.message


def test_a_read_that_misses_a_write_under_way_is_regular(story: Story) -> None:
    story.put(0, 1)
    story.put(2, 5)
    story.get(4, 5, b"0")
    assert story.stale() == []


def test_quorums_that_do_not_meet_promise_nothing() -> None:
    story = Story(quorum=1)
    story.put(0, 1)
    story.get(4, 5, b"")
    assert story.stale() == []


def test_not_found_after_an_acknowledged_write_is_stale(story: Story) -> None:
    story.put(0, 1)
    story.get(2, 3, b"")
    assert len(story.stale()) == 1


def test_a_blind_delete_that_finds_nothing_has_looked_at_a_majority(story: Story) -> None:
    story.put(0, 1)
    miss = story.delete(2, 3)
    miss.outcome, miss.error = "failed", "not_found"
    assert len(story.stale()) == 1


def test_an_acknowledged_put_has_to_be_in_its_own_answer(story: Story) -> None:
    story.put(0, 1).values = ()
    assert len(story.stale()) == 1


def test_a_replaced_version_beside_its_replacement_is_found(story: Story) -> None:
    first = story.put(0, 1)
    story.put(2, 3, on=first)
    story.get(2.5, 4, b"01")
    (found,) = story.revived()
    assert "the value of put #0" in found.message


def test_a_replaced_version_that_comes_back_alone_is_found(story: Story) -> None:
    first = story.put(0, 1)
    story.delete(2, 3, on=first)
    story.get(4, 5, b"0")
    assert len(story.revived()) == 1


def test_what_a_blind_delete_says_it_removed_stays_removed(story: Story) -> None:
    story.put(0, 1)
    story.delete(2, 3, removed=b"0")
    story.get(4, 5, b"0")
    assert len(story.revived()) == 1


def test_a_read_that_began_before_the_replacement_ended_may_show_the_old(story: Story) -> None:
    first = story.put(0, 1)
    story.put(2, 5, on=first)
    story.get(4, 6, b"0")
    assert story.revived() == []


def test_siblings_of_concurrent_writes_are_no_revival(story: Story) -> None:
    base = story.put(0, 1)
    story.put(2, 3, on=base)
    story.put(2, 3, on=base)
    story.get(4, 5, b"12")
    assert story.revived() == []


def test_an_invented_value_is_found(story: Story) -> None:
    story.get(0, 1, b"7")
    assert "nobody wrote" in nothing_invented(story.history)[0].message


def test_a_value_under_the_dot_of_another_is_invented(story: Story) -> None:
    story.write(0, 1, "A1")
    story.read(2, 3, "A1")
    assert nothing_invented(story.history) == []
    story.write(4, 5, "B1")
    assert "under the dot of another" in nothing_invented(story.history)[0].message


def test_a_value_of_another_key_is_invented(story: Story) -> None:
    put = story.put(0, 1)
    put.key = "other"
    story.get(2, 3, put.value)
    assert len(nothing_invented(story.history)) == 1


def test_a_value_from_the_future_is_found(story: Story) -> None:
    story.get(0, 1, b"1")
    story.put(2, 3)
    assert "came later" in nothing_invented(story.history)[0].message


def test_a_refused_write_that_took_effect_is_found(story: Story) -> None:
    story.put(0, 1).outcome = "failed"
    story.get(2, 3, b"0")
    assert "was refused" in nothing_invented(story.history)[0].message


def test_a_write_of_unknown_outcome_may_be_seen(story: Story) -> None:
    story.put(0)
    story.get(2, 3, b"0")
    assert nothing_invented(story.history) == []


def test_diverged_replicas_are_found() -> None:
    assert replicas_equal({"k": {0: b"x", 1: b"x"}}) == []
    assert len(replicas_equal({"k": {0: b"x", 1: b"y"}})) == 1
    assert len(replicas_equal({"k": {0: b"x", 1: None}})) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"endings": 2}, "ended 2 times"),
        ({"endings": 0}, "never ended"),
        ({"ended": 2.2}, "after its deadline"),
        ({"hasty": True}, "before the call"),
    ],
)
def test_an_operation_that_ends_in_a_wrong_way_is_found(
    story: Story, change: dict[str, object], message: str
) -> None:
    story.put(0, 1)
    assert ended_once(story.history, 0.1) == []
    story.history.operations[0] = replace(story.history.operations[0], **change)  # type: ignore[arg-type]
    (found,) = ended_once(story.history, 0.1)
    assert message in found.message


def test_an_operation_whose_node_went_away_need_not_end(story: Story) -> None:
    story.put(0)
    assert ended_once(story.history, 0.1) == []


def test_a_calm_blind_write_may_not_be_a_sibling_of_an_earlier_one(story: Story) -> None:
    story.put(0, 1)
    later = story.put(5, 6)
    story.get(7, 8, b"01")
    assert none_needless(story.history, 3, quiet_s=1) == []
    later.calm = True
    assert len(none_needless(story.history, 3, quiet_s=1)) == 1
    assert none_needless(story.history, 3, quiet_s=10) == []


def test_without_faults_everything_has_to_succeed(story: Story) -> None:
    op = story.get(0, 1, b"")
    assert undisturbed(story.history) == []
    op.outcome, op.error = "failed", "not_found"
    assert undisturbed(story.history) == []
    op.outcome, op.error = "unknown", "timeout"
    assert len(undisturbed(story.history)) == 1


def test_without_faults_blind_writers_make_no_siblings(story: Story) -> None:
    story.put(0, 2)
    story.put(1, 3)
    story.get(4, 5, b"01")
    assert len(undisturbed(story.history)) == 1


def test_without_faults_writers_with_versions_may(story: Story) -> None:
    base = story.put(0, 1)
    story.put(2, 3, on=base)
    story.put(2, 3, on=base)
    story.get(4, 5, b"12")
    assert undisturbed(story.history) == []


def test_a_refused_write_that_a_node_holds_is_found(story: Story) -> None:
    story.put(0, 1)
    refused = story.put(2, 3)
    refused.outcome, refused.error = "failed", "disk_full"
    assert nothing_kept(story.history, {"k": {0: (b"0",), 1: ()}}) == []
    (found,) = nothing_kept(story.history, {"k": {0: (b"0",), 4: (b"0", b"1")}})
    assert "n4 holds the value of put #1" in found.message


def test_damage_that_is_left_is_found() -> None:
    assert nothing_damaged({"k": []}) == []
    assert "n2 holds a damaged record of k" in nothing_damaged({"k": [2]})[0].message


def test_counts_that_differ_from_a_scan_are_found() -> None:
    there = {0: {"default": (2, 90)}, 1: {"default": (3, 130)}}
    assert counts_exact(there, there) == []
    (found,) = counts_exact({**there, 1: {"default": (3, 131)}}, there)
    assert found.check == "counts_exact"
    assert "n1" in found.message
