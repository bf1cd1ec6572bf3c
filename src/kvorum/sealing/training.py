"""Training of compression dictionaries: when a namespace gets a new one, and from which samples.

    Sampler   gathers plain records as they are written, about evenly over all of them
    Drift     tells when a training is due: there is no dictionary yet, or new records compress
              worse than those that it was trained for
    train     makes a dictionary from samples, or None if it would not be clearly better

Nothing here reads a clock or starts a thread. The owner does, and puts it together:

    write:      sampler.offer(body); stored = codec.compress(body)
                drift.note(len(body), len(stored))
    now and     if sampler.ready and drift.is_due(now):
    then:           made = <in a thread> train(sampler.take(), level, current)
                    drift.trained(now, ...)

Each dictionary is stored as long as any record uses it, so it has to be worth that. A tenth of the
samples is held back from training, and the dictionary is discarded unless it makes those clearly
smaller than the current one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvorum.sealing.compression import Codec, learn

SAMPLES_MIN: Final = 2000
SAMPLE_BYTES_MIN: Final = 512 << 10
"""The least that a training needs. zstd recommends about a hundred times the dictionary's size;
eight times gave the same result here, and is reached sooner."""

SAMPLES_MAX: Final = 32 << 10
SAMPLE_BYTES_MAX: Final = 4 << 20
SAMPLE_HEAD_BYTES: Final = 1 << 10
"""The part of a record that is kept: longer ones compress well without a dictionary. With these
bounds, half of a full sampler is still ready."""

DICTIONARY_BYTES: Final = 64 << 10
"""Twice the size made records no smaller, and takes more of the processor's cache."""

HELD_BACK: Final = 10
"""One of so many samples is held back for the comparison."""
GAIN_MIN: Final = 0.10

DRIFT_MAX: Final = 0.25
WINDOW_BYTES: Final = 1 << 20
"""Ratios are compared over so many bytes of plain records."""
REST_S: Final = 3600.0
"""The shortest time between two trainings of a namespace."""


class Sampler:
    """Keeps every k-th record; when it is full, it drops every other one and doubles k.

    So the samples are spread evenly over all records, without a random source.
    """

    def __init__(self) -> None:
        self._samples: list[bytes] = []
        self._bytes = 0
        self._every = 1
        self._to_skip = 0

    def offer(self, body: bytes) -> None:
        """A record was written."""
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._keep(body[:SAMPLE_HEAD_BYTES])

    @property
    def ready(self) -> bool:
        """True if there are enough samples for a training."""
        return len(self._samples) >= SAMPLES_MIN and self._bytes >= SAMPLE_BYTES_MIN

    def take(self) -> list[bytes]:
        """The samples. The sampler starts from empty again."""
        samples = self._samples
        self._samples = []
        self._bytes = self._to_skip = 0
        self._every = 1
        return samples

    def _keep(self, sample: bytes) -> None:
        self._samples.append(sample)
        self._bytes += len(sample)
        if len(self._samples) >= SAMPLES_MAX or self._bytes >= SAMPLE_BYTES_MAX:
            del self._samples[-2::-2]  # not the newest, from which the next is counted
            self._bytes = sum(map(len, self._samples))
            self._every *= 2
        self._to_skip = self._every - 1


def train(samples: Sequence[bytes], level: int, current: bytes | None) -> bytes | None:
    """A dictionary that makes records like `samples` at least GAIN_MIN smaller than `current`
    does (None: no dictionary); None if there is none.

    A pure function that takes a few tenths of a second, mostly without the interpreter's lock.
    """
    held_back = samples[::HELD_BACK]
    training_set = [body for at, body in enumerate(samples) if at % HELD_BACK]
    dictionary = learn(training_set, DICTIONARY_BYTES, level)
    if dictionary is None:
        return None
    before = _stored_bytes(Codec(level, current), held_back)
    after = _stored_bytes(Codec(level, dictionary), held_back)
    return dictionary if after <= before * (1 - GAIN_MIN) else None


def _stored_bytes(codec: Codec, bodies: Sequence[bytes]) -> int:
    return sum(min(len(body), len(codec.compress(body))) for body in bodies)


class Drift:
    """Compares the compression ratio of new records with the ratio after the last training.

    The baseline is the ratio of the first window of bytes after a training or a start. Without a
    dictionary a training is always due, except for some time after the last one.
    """

    def __init__(self, has_dictionary: bool) -> None:
        self._not_before: float | None = None
        self._begin(has_dictionary)

    def note(self, plain: int, stored: int) -> None:
        """A record of `plain` bytes was stored in `stored` bytes."""
        self._stored += stored
        self._plain += plain
        if self._plain >= WINDOW_BYTES:
            self._end_window()

    def is_due(self, now: float) -> bool:
        """True if a training is due at `now`, in seconds of a monotonic clock."""
        return self._stale and (self._not_before is None or now >= self._not_before)

    def trained(self, now: float, has_dictionary: bool) -> None:
        """A training has ended at `now`; `has_dictionary`: there is one now, old or new."""
        self._not_before = now + REST_S
        self._begin(has_dictionary)

    def _begin(self, has_dictionary: bool) -> None:
        self._has_dictionary = has_dictionary
        self._stale = not has_dictionary
        self._baseline: float | None = None
        self._plain = self._stored = 0

    def _end_window(self) -> None:
        ratio = self._stored / self._plain
        self._plain = self._stored = 0
        if self._baseline is None:
            self._baseline = ratio
        elif self._has_dictionary:
            self._stale = ratio > self._baseline * (1 + DRIFT_MAX)
