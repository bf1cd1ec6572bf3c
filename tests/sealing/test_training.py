"""When a dictionary is made, and whether it is worth having."""

from __future__ import annotations

import itertools
import json
import random

from hypothesis import given
from hypothesis import strategies as st

from kvorum.sealing.compression import Codec
from kvorum.sealing.training import (
    DICTIONARY_BYTES,
    DRIFT_MAX,
    REST_S,
    SAMPLE_BYTES_MAX,
    SAMPLE_BYTES_MIN,
    SAMPLE_HEAD_BYTES,
    SAMPLES_MAX,
    SAMPLES_MIN,
    WINDOW_BYTES,
    Drift,
    Sampler,
    train,
)


def sessions(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    return [
        json.dumps(
            {
                "user": chance.randrange(10**6),
                "roles": chance.sample(["admin", "editor", "viewer", "billing"], 2),
                "cart": [{"sku": f"SKU-{chance.randrange(10**6):06}", "quantity": 1}],
                "language": chance.choice(["en", "de", "fr", "es"]),
            }
        ).encode()
        for _ in range(count)
    ]


def noise(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    return [chance.randbytes(200) for _ in range(count)]


def stored(dictionary: bytes | None, bodies: list[bytes]) -> int:
    codec = Codec(3, dictionary)
    return sum(min(len(body), len(codec.compress(body))) for body in bodies)


def test_a_dictionary_trained_with_sessions_halves_other_sessions() -> None:
    dictionary = train(sessions(1, SAMPLES_MIN), 3, None)
    assert dictionary is not None
    assert len(dictionary) <= DICTIONARY_BYTES
    fresh = sessions(2, 200)
    assert stored(dictionary, fresh) < 0.5 * stored(None, fresh)


def test_noise_is_not_worth_a_dictionary() -> None:
    assert train(noise(1, SAMPLES_MIN), 3, None) is None


def test_a_new_dictionary_must_beat_the_one_in_use() -> None:
    current = train(sessions(1, SAMPLES_MIN), 3, None)
    assert current is not None
    assert train(sessions(2, SAMPLES_MIN), 3, current) is None
    changed = [body.replace(b'"user"', b'"account"').upper() for body in sessions(2, SAMPLES_MIN)]
    better = train(changed, 3, current)
    assert better is not None
    assert stored(better, changed[:100]) < 0.9 * stored(current, changed[:100])


def test_too_few_samples_make_none() -> None:
    assert train([], 3, None) is None
    assert train([b"a"], 3, None) is None
    assert train([b""] * SAMPLES_MIN, 3, None) is None


def test_a_sampler_is_ready_with_enough_samples_of_enough_bytes() -> None:
    sampler = Sampler()
    for _ in range(SAMPLES_MIN - 1):
        sampler.offer(b"x" * SAMPLE_HEAD_BYTES)
    assert not sampler.ready
    sampler.offer(b"x")
    assert sampler.ready

    small = Sampler()
    size = SAMPLE_BYTES_MIN // (2 * SAMPLES_MIN)
    for _ in range(SAMPLES_MIN):
        small.offer(b"x" * size)
    assert not small.ready


def test_samples_are_taken_once() -> None:
    sampler = Sampler()
    bodies = sessions(1, 10)
    for body in bodies:
        sampler.offer(body)
    assert sampler.take() == bodies
    assert sampler.take() == []
    sampler.offer(b"next")
    assert sampler.take() == [b"next"]


@given(st.integers(32, 3000))
def test_a_full_sampler_stays_ready_and_bounded(size: int) -> None:
    """`size` bytes a record; three times as many records as fill it."""
    sampler = Sampler()
    kept = min(size, SAMPLE_HEAD_BYTES)
    fill = min(SAMPLES_MAX, SAMPLE_BYTES_MAX // kept)
    body = b"x" * size
    for _ in range(3 * fill):
        sampler.offer(body)
    assert sampler.ready
    samples = sampler.take()
    assert len(samples) <= SAMPLES_MAX
    assert sum(map(len, samples)) <= SAMPLE_BYTES_MAX


def test_samples_are_spread_over_all_that_was_offered() -> None:
    offered = 5 * SAMPLES_MAX
    sampler = Sampler()
    for number in range(offered):
        sampler.offer(number.to_bytes(4, "big"))
    numbers = [int.from_bytes(sample, "big") for sample in sampler.take()]
    assert {later - earlier for earlier, later in itertools.pairwise(numbers)} == {8}
    assert numbers[0] < 8
    assert numbers[-1] >= offered - 8


def window(drift: Drift, ratio: float) -> None:
    """A window's worth of records that compress to `ratio`."""
    drift.note(WINDOW_BYTES, int(WINDOW_BYTES * ratio))


def test_without_a_dictionary_one_is_wanted_at_most_once_an_hour() -> None:
    drift = Drift(has_dictionary=False)
    assert drift.is_due(-5.0)
    drift.trained(100.0, has_dictionary=False)
    assert not drift.is_due(100.0 + REST_S - 1)
    assert drift.is_due(100.0 + REST_S)


def test_without_a_dictionary_one_stays_wanted_however_well_records_compress() -> None:
    drift = Drift(has_dictionary=False)
    for ratio in (0.9, 0.3, 0.3):
        window(drift, ratio)
        assert drift.is_due(0.0)


def test_another_is_wanted_when_records_compress_a_quarter_worse() -> None:
    drift = Drift(has_dictionary=True)
    assert not drift.is_due(0.0)
    window(drift, 0.40)
    window(drift, 0.40 * (1 + DRIFT_MAX) - 0.01)
    assert not drift.is_due(0.0)
    window(drift, 0.40 * (1 + DRIFT_MAX) + 0.01)
    assert drift.is_due(0.0)


def test_what_was_a_passing_matter_is_forgotten() -> None:
    drift = Drift(has_dictionary=True)
    for ratio in (0.4, 0.9, 0.4):
        window(drift, ratio)
    assert not drift.is_due(0.0)


def test_less_than_a_window_says_nothing() -> None:
    drift = Drift(has_dictionary=True)
    window(drift, 0.4)
    drift.note(WINDOW_BYTES - 1, WINDOW_BYTES)
    assert not drift.is_due(0.0)
    drift.note(1, 1)
    assert drift.is_due(0.0)


def test_after_a_training_a_new_baseline_and_an_hour_of_rest() -> None:
    drift = Drift(has_dictionary=True)
    window(drift, 0.4)
    window(drift, 0.8)
    drift.trained(0.0, has_dictionary=True)
    assert not drift.is_due(REST_S)
    window(drift, 0.8)
    window(drift, 0.8)
    assert not drift.is_due(REST_S)
    window(drift, 1.1)
    assert not drift.is_due(REST_S - 1)
    assert drift.is_due(REST_S)
