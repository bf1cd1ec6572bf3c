"""Phi against its definition, and what the window must and must not learn."""

from __future__ import annotations

import math
from statistics import NormalDist, fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.cluster.phi import PHI_MAX, Arrivals

WINDOW, FLOOR_S = 8, 0.2
gaps_s = st.lists(st.floats(0.0, 9.0), min_size=WINDOW, max_size=40)


def arrivals(gaps: list[float]) -> tuple[Arrivals, float]:
    heard, now = Arrivals(1.0, WINDOW, FLOOR_S), 100.0
    heard.beat(now)
    for gap in gaps:
        now += gap
        heard.beat(now)
    return heard, now


@given(gaps_s, st.floats(0.0, 30.0))
def test_phi_is_the_improbability_of_the_silence(gaps: list[float], silence: float) -> None:
    heard, now = arrivals(gaps)
    recent = gaps[-WINDOW:]
    normal = NormalDist(fmean(recent), max(pstdev(recent), FLOOR_S))
    chance = 1 - normal.cdf(silence)
    if silence <= normal.mean:
        assert heard.phi(now + silence) < -math.log10(0.5) + 1e-6
    elif chance > 1e-9:  # beyond, 1 - cdf has no digits left
        assert heard.phi(now + silence) == pytest.approx(-math.log10(chance), rel=0.01, abs=1e-6)
    else:
        assert 8.9 < heard.phi(now + silence) <= PHI_MAX


@given(gaps_s, st.floats(0.0, 30.0), st.floats(0.0, 30.0))
def test_longer_silence_is_never_less_suspicious(gaps: list[float], a: float, b: float) -> None:
    heard, now = arrivals(gaps)
    assert heard.phi(now + min(a, b)) <= heard.phi(now + max(a, b))


def test_endless_silence_is_as_suspicious_as_a_number_can_say() -> None:
    heard, now = arrivals([1.0] * 20)
    assert heard.phi(now + 1e6) == PHI_MAX


def test_a_calm_network_does_not_make_it_jumpy() -> None:
    heard, now = arrivals([1.0] * 20)
    assert heard.phi(now + 1 + FLOOR_S) == pytest.approx(0.8, abs=0.01)


def test_nothing_is_suspicious_before_anything_is_expected() -> None:
    heard = Arrivals(1.0, WINDOW, FLOOR_S)
    assert heard.phi(1e9) == 0
    heard.expect(50.0)
    assert heard.phi(50.0) == 0
    assert heard.phi(60.0) > 8


def test_a_sign_of_life_ends_the_silence_without_changing_the_rhythm() -> None:
    signed, now = arrivals([1.0] * 20)
    for _ in range(100):
        signed.sign(now + 0.5)
    beaten, _ = arrivals([1.0] * 20)
    assert signed.phi(now + 0.5) == 0
    assert signed.phi(now + 0.5 + 2) == pytest.approx(beaten.phi(now + 2))


def test_an_outage_is_no_gap_to_learn_from() -> None:
    heard, now = arrivals([1.0] * 20)
    heard.interrupt()
    heard.beat(now + 60)
    assert heard.phi(now + 60 + 3) > 8


def test_one_long_gap_blunts_no_more_than_ten_intervals_would() -> None:
    long, now = arrivals([1.0] * 20 + [10.0])
    longer, later = arrivals([1.0] * 20 + [500.0])
    assert longer.phi(later + 20) == pytest.approx(long.phi(now + 20))


def test_our_own_pause_is_no_silence_of_others() -> None:
    heard, now = arrivals([1.0] * 20)
    heard.forgive(30.0, now + 30.5)
    assert heard.phi(now + 30.5) < 1
    assert heard.phi(now + 30.5 + 3) > 8
    heard.forgive(30.0, now + 31)
    assert heard.last <= now + 31
