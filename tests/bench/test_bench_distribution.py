from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.bench.distribution import (
    DISTRIBUTIONS,
    THETA,
    Latest,
    Scattered,
    Uniform,
    Zipfian,
    zeta,
)

DRAWS = 20_000


def test_zeta_is_the_sum() -> None:
    total = 0.0
    for n in range(1, 5001):
        total += n**-THETA
        if n in (1, 2, 999, 1000, 1001, 1002, 5000):
            assert zeta(n) == pytest.approx(total, rel=1e-12)


def test_zeta_of_ten_thousand_million_is_the_constant_of_ycsb() -> None:
    assert zeta(10**10) == pytest.approx(26.46902820178302, rel=1e-9)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@given(seed=st.integers(0, 1000), counts=st.lists(st.integers(1, 10**6), min_size=1))
def test_draws_stay_within_the_count_as_it_changes(name: str, seed: int, counts: list[int]) -> None:
    distribution = DISTRIBUTIONS[name](Random(seed))
    for count in counts:
        assert 0 <= distribution.draw(count) < count


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_the_seed_decides_the_draws(name: str) -> None:
    def draws(seed: int) -> list[int]:
        distribution = DISTRIBUTIONS[name](Random(seed))
        return [distribution.draw(1000) for _ in range(100)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_uniform_asks_each_entry_alike() -> None:
    uniform = Uniform(Random(1))
    counts = Counter(uniform.draw(10) for _ in range(DRAWS))
    assert len(counts) == 10
    assert all(times == pytest.approx(DRAWS / 10, rel=0.1) for times in counts.values())


@pytest.mark.parametrize("count", [10, 1000, 100_000])
def test_zipfian_ranks_have_the_probabilities_of_the_law(count: int) -> None:
    zipfian = Zipfian(Random(1))
    counts = Counter(zipfian.draw(count) for _ in range(DRAWS))
    assert counts[0] / DRAWS == pytest.approx(1 / zeta(count), abs=0.01)
    assert counts[1] / DRAWS == pytest.approx(2**-THETA / zeta(count), abs=0.01)
    for first in (5, 10, count // 2):
        share = sum(times for rank, times in counts.items() if rank < first) / DRAWS
        assert share == pytest.approx(zeta(first) / zeta(count), abs=0.03)


def test_scattered_has_one_hot_entry_and_hot_entries_are_not_neighbours() -> None:
    scattered = Scattered(Random(1))
    counts = Counter(scattered.draw(10_000) for _ in range(DRAWS))
    (hottest, times), (second, _), *_ = counts.most_common()
    assert times / DRAWS == pytest.approx(1 / zeta(10**10), abs=0.01)
    assert abs(hottest - second) > 1
    halves = Counter(entry < 5000 for entry in counts)
    assert halves[True] == pytest.approx(halves[False], rel=0.1)


def test_latest_prefers_what_was_inserted_last() -> None:
    latest = Latest(Random(1))
    for count in (1000, 1001, 5000):
        counts = Counter(latest.draw(count) for _ in range(2000))
        assert counts.most_common(1)[0][0] == count - 1
        assert counts[count - 1] / 2000 == pytest.approx(1 / zeta(count), abs=0.03)
