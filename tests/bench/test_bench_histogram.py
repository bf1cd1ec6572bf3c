from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.bench.histogram import PRECISION_BITS, Histogram, bucket_of, top_of

VALUES = st.one_of(
    st.integers(0, 1000), st.integers(0, 10**11), st.integers(1, 80).map(lambda bits: 1 << bits)
)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(VALUES, min_size=1), st.floats(0, 1))
def test_quantile_is_at_most_one_bucket_above_the_sorted_list(
    values: list[int], share: float
) -> None:
    (found,) = histogram_of(values).quantiles([share])
    exact = sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]
    assert exact <= found <= exact * (1 + 2**-PRECISION_BITS)


@given(st.lists(VALUES, min_size=1))
def test_count_sum_and_highest_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram.count == len(values)
    assert histogram.mean == sum(values) / len(values)
    assert histogram.highest == max(values)
    assert histogram.quantiles([1.0]) == [max(values)]


@given(st.lists(VALUES), st.lists(VALUES))
def test_merge_is_as_if_recorded_together(a: list[int], b: list[int]) -> None:
    merged = histogram_of(a)
    merged.merge(histogram_of(b))
    together = histogram_of(a + b)
    shares = [0.1, 0.5, 0.9, 0.99, 1.0]
    assert merged.quantiles(shares) == together.quantiles(shares)
    assert (merged.count, merged.total, merged.highest) == (
        together.count,
        together.total,
        together.highest,
    )


@given(VALUES, st.integers(1, 1000))
def test_recording_times_is_recording_again_and_again(value: int, times: int) -> None:
    once = Histogram()
    once.record(value, times)
    again = histogram_of([value] * times)
    assert (once.count, once.total) == (again.count, again.total)


@given(st.lists(VALUES), st.lists(st.floats(0, 1)))
def test_quantiles_come_in_the_order_asked(values: list[int], shares: list[float]) -> None:
    histogram = histogram_of(values)
    assert histogram.quantiles(shares) == [histogram.quantiles([s])[0] for s in shares]


def test_buckets_have_no_gaps_and_keep_the_order() -> None:
    bottom = 0
    for bucket in range(2000):
        top = top_of(bucket)
        assert bucket_of(bottom) == bucket_of(top) == bucket
        bottom = top + 1


def test_an_empty_histogram_has_zeros() -> None:
    histogram = Histogram()
    assert histogram.quantiles([0.5]) == [0]
    assert histogram.mean == 0


def test_a_negative_value_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        Histogram().record(-1)
