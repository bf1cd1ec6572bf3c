"""Durations: a histogram of how long something took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.runtime.durations import BOUNDS, Durations

seconds = st.one_of(st.floats(0, 100), st.sampled_from(BOUNDS))


def test_a_duration_counts_in_the_first_bucket_that_it_does_not_exceed() -> None:
    durations = Durations()
    durations.add(BOUNDS[3])
    durations.add(BOUNDS[3] + 1e-9)
    durations.add(BOUNDS[-1] + 1)
    assert (durations.counts[3], durations.counts[4], durations.counts[-1]) == (1, 1, 1)
    assert durations.seconds == pytest.approx(2 * BOUNDS[3] + BOUNDS[-1] + 1)


@given(st.lists(seconds))
def test_many_at_once_count_as_each_by_itself(many: list[float]) -> None:
    single, together = Durations(), Durations()
    for each in many:
        single.add(each)
    together.add_all(list(many))
    assert together.counts == single.counts
    assert together.seconds == pytest.approx(single.seconds)


@given(st.lists(seconds), st.lists(seconds))
def test_histograms_are_merged_by_adding(some: list[float], others: list[float]) -> None:
    one, other, both = Durations(), Durations(), Durations()
    one.add_all(list(some))
    other.add_all(list(others))
    both.add_all(some + others)
    one.merge(other)
    assert one.counts == both.counts


def test_a_quantile_is_the_bound_that_it_does_not_exceed() -> None:
    durations = Durations()
    assert durations.quantile(0.5) is None
    durations.add_all([0.0009] * 98 + [0.9, 99.0])
    assert durations.quantile(0.5) == 0.001
    assert durations.quantile(0.99) == 1.0
    assert durations.quantile(1.0) == BOUNDS[-1]
