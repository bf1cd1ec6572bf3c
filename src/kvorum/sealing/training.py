"""Training: when a namespace gets a (new) compression dictionary, and from what.

    Sampler   gathers plain records as they are written, about evenly over all of them
    train     samples -> a dictionary that is worth having, or None; to be run in a thread
    Drift     says when that should be tried: there is no dictionary yet, or what is written
              no longer looks like what the dictionary was made from

Nothing here reads a clock or starts a thread. The owner does, and puts it together:

    write:        sampler.offer(body); stored = codec.compress(body)
                  drift.note(len(body), len(stored))
    sometimes:    if sampler.ready and drift.wants(now):
                      made = <in a thread> train(sampler.take(), level, current)
                      drift.tried(now, ...)

A dictionary must earn its keep: each one is kept while any record needs it. So a tenth of the
samples is held back from training, and the dictionary is thrown away unless it makes those
clearly smaller than what is in use today.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvorum.sealing.compression import Codec, learn

SAMPLES_MIN: Final = 2000
SAMPLE_BYTES_MIN: Final = 512 << 10
"""What a training needs. zstd recommends about a hundred times the dictionary's size; eight
times measured the same here, and is reached sooner."""

SAMPLES_MAX: Final = 32 << 10
SAMPLE_BYTES_MAX: Final = 4 << 20
SAMPLE_HEAD_BYTES: Final = 1 << 10
"""So much of a record is kept: a longer one repeats itself enough to do without a dictionary.
The bounds are such that half of a full sampler is still ready."""

DICTIONARY_BYTES: Final = 64 << 10
"""Twice the size made records no smaller, and more of it has to stay in the processor's cache."""

HELD_BACK: Final = 10
"""One of so many samples is held back."""
GAIN_MIN: Final = 0.10

DRIFT_MAX: Final = 0.25
WINDOW_BYTES: Final = 1 << 20
"""Ratios are compared over so many bytes of plain records."""
REST_S: Final = 3600.0
"""The shortest time between two trainings of a namespace."""


class Sampler:
    """Every k-th record; when full it forgets every other one and doubles k.

    So what is kept is spread evenly over all that was offered, without a random source.
    """

    __slots__ = ("_bytes", "_every", "_samples", "_to_skip")

    def __init__(self) -> None:
        self._samples: list[bytes] = []
        self._bytes = 0
        self._every = 1
        self._to_skip = 0

    def offer(self, body: bytes) -> None:
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._keep(body[:SAMPLE_HEAD_BYTES])

    @property
    def ready(self) -> bool:
        return len(self._samples) >= SAMPLES_MIN and self._bytes >= SAMPLE_BYTES_MIN

    def take(self) -> list[bytes]:
        """The samples; gathering begins anew."""
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
    does (None: no dictionary); None if there is no such.

    A pure function that works for a few tenths of a second, for the most part without the
    interpreter's lock.
    """
    held_back = samples[::HELD_BACK]
    learned_from = [body for at, body in enumerate(samples) if at % HELD_BACK]
    dictionary = learn(learned_from, DICTIONARY_BYTES, level)
    if dictionary is None:
        return None
    before = _stored_bytes(Codec(level, current), held_back)
    after = _stored_bytes(Codec(level, dictionary), held_back)
    return dictionary if after <= before * (1 - GAIN_MIN) else None


def _stored_bytes(codec: Codec, bodies: Sequence[bytes]) -> int:
    return sum(min(len(body), len(codec.compress(body))) for body in bodies)


class Drift:
    """Compares how well records compress now with how well they did after the last training.

    The first window of bytes after a training, or after a start, is what later ones are held
    against. Where there is no dictionary, one is always wanted, but for the rest between two tries.
    """

    __slots__ = ("_baseline", "_has_dictionary", "_not_before", "_plain", "_stale", "_stored")

    def __init__(self, has_dictionary: bool) -> None:
        self._not_before: float | None = None
        self._begin(has_dictionary)

    def note(self, plain: int, stored: int) -> None:
        """A record of `plain` bytes was stored as `stored`."""
        self._stored += stored
        self._plain += plain
        if self._plain >= WINDOW_BYTES:
            self._end_window()

    def wants(self, now: float) -> bool:
        """True if a training should be tried at `now`, in seconds of any steady clock."""
        return self._stale and (self._not_before is None or now >= self._not_before)

    def tried(self, now: float, has_dictionary: bool) -> None:
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
