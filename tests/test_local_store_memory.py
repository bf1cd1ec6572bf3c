"""The local store's memory: what is not flushed yet stays within its share, whatever is written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from kit.store_lives import Life, life, record_key

from kvorum.journal.journaled_store import BATCH_BYTES_MAX
from kvorum.journal.segment import SegmentLimits
from kvorum.storage.budget import MEMORY_MIN, Budget

SMALL: Final = 20
LARGE: Final = 100_000
WHAT_A_RECORD_TAKES: Final = 350
"""Beside its value."""

SEGMENT: Final = SegmentLimits.within(Budget.split(MEMORY_MIN), Path("/")).memory_bytes
BOUND: Final = 2 * (SEGMENT + BATCH_BYTES_MAX + LARGE)
"""A segment is closed with the batch that makes it full."""

PATTERNS: Final = {
    "small": (3 * SEGMENT, SMALL),
    "large": (10 * SEGMENT, LARGE),
    "small, then large": (SEGMENT + SEGMENT // 4, SMALL, 10 * SEGMENT, LARGE),
    "large, then small": (SEGMENT + SEGMENT // 2, LARGE, 2 * SEGMENT, SMALL),
}
"""So many bytes of records with values of this size, and so on."""


def writes(pattern: tuple[int, ...]) -> Iterator[tuple[bytes, str]]:
    chance = random.Random(1)
    for total, size in zip(pattern[::2], pattern[1::2], strict=True):
        for _ in range(total // (size + WHAT_A_RECORD_TAKES)):
            yield record_key(chance.randrange(1 << 64), "plain"), "x" * size


def in_memory(one: Life) -> int:
    segments = one.parts._journaled._segments()
    return sum(segment.memtable.size_bytes for segment in segments)


@pytest.mark.parametrize("crowd", [1, 30])
@pytest.mark.parametrize("pattern", PATTERNS.values(), ids=PATTERNS)
def test_segments_stay_within_their_share(
    tmp_path: Path, pattern: tuple[int, ...], crowd: int
) -> None:
    """However many writes share a commit, and though no time passes."""
    with life(tmp_path) as one:
        worst = 0
        for number, (key, value) in enumerate(writes(pattern)):
            one.put(key, value)
            if number % crowd == 0:
                one.turn()
            worst = max(worst, in_memory(one))
        # What is flushed stays until it is durable below, which takes a turn here.
        assert worst <= BOUND + crowd * LARGE
        assert worst > SEGMENT or crowd == 1, "with an entry each, the log's share is full first"
        one.turn()
        assert one.contents() == one.wanted


def test_keys_that_are_written_again_and_again_take_no_more(tmp_path: Path) -> None:
    with life(tmp_path) as one:
        entries = 0
        for number in range(600):
            for key in range(10):
                one.put(record_key(key, "plain"), f"{number}".ljust(1000))
            one.turn()
            entries = max(entries, len(one.entries()))
            assert in_memory(one) < 2 * 10 * (1000 + WHAT_A_RECORD_TAKES)
        assert entries < 600, "older ones have gone"


def test_lives_that_end_before_they_can_file_do_not_add_up(tmp_path: Path) -> None:
    chance = random.Random(1)
    wanted: dict[bytes, bytes] = {}
    for _ in range(5):
        with life(tmp_path) as one:
            assert in_memory(one) <= BOUND
            written = 0
            while written < SEGMENT * 2 // 3:
                one.put(record_key(chance.randrange(1 << 64), "plain"), "x" * 1000)
                written += 1000 + WHAT_A_RECORD_TAKES
            one.turn()
            wanted |= one.wanted
    with life(tmp_path) as last:
        assert in_memory(last) <= BOUND
        assert last.contents() == wanted
