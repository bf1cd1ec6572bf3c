"""Wherever a crash cuts the log, the next life shows a prefix of the client's writes, and in it
all that were acknowledged. So does the life after the next.

The log is all that a journaled store leaves: entries, what was filed of them, deletions of
entries, and notes that pass by. It is recorded, and every prefix of it is played back. Segments
are so small that the cuts fall before, into and behind closings, filings and deletions.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_client import Client
from journals import HINTS, MARKS, RECORDS, TINY, Journal, LogDouble, seal_of, value_for

from kvorum.journal.segment import SegmentLimits
from kvorum.sealing.seal import Seal

Step = tuple[str, bytes, int]
"""What to do, the key it concerns, and a number: of the value, of syncs, or yes and no."""

KEYS = RECORDS[:10] + HINTS[:4] + MARKS


def take(client: Client, journal: Journal, steps: Iterable[Step]) -> None:
    for step, key, number in steps:
        match step:
            case "put":
                client.write(key, value_for(key, number, number % 60))
            case "delete":
                client.write(key, None)
            case "turn":
                journal.pump.turn()
            case "settle":
                journal.settle()
            case "sync":
                journal.log.sync(number % 8)
            case "tick":
                journal.tick()
            case "full":
                journal.log.full = number % 2 == 1
            case "empty":
                journal.empty()
    journal.settle()
    assert dict(journal.contents()) == client.seen
    assert len(client.acknowledged) == len(client.states) - 1


def life(content: dict[bytes, bytes], seal: Seal | None, limits: SegmentLimits) -> Journal:
    journal = Journal(LogDouble(content), seal=seal, limits=limits)
    assert journal.wrong is None
    return journal


def every_cut(client: Client, log: LogDouble) -> Iterator[tuple[int, dict[bytes, bytes]]]:
    for survivors in range(len(log.writes) + 1):
        yield survivors, log.cut(survivors)


def check_every_cut(
    steps: list[Step],
    later: list[Step],
    seal: Seal | None,
    lives: random.Random,
    limits: SegmentLimits = TINY,
) -> LogDouble:
    """`later`: what is done in some of the second lives. Returns the first life's log."""
    journal = life({}, seal, limits)
    client = Client(journal, {})
    take(client, journal, steps)
    cuts = len(journal.log.writes) + 1
    lived_on = set(lives.sample(range(cuts), min(4, cuts)))
    for survivors, left in every_cut(client, journal.log):
        second = life(left, seal, limits)
        found = dict(second.contents())
        assert found in client.may_find(survivors), survivors
        if survivors in lived_on:
            check_second_life(second, found, later, seal)
    return journal.log


def check_second_life(
    journal: Journal, found: dict[bytes, bytes], steps: list[Step], seal: Seal | None
) -> None:
    client = Client(journal, found)
    take(client, journal, steps)
    for survivors, left in every_cut(client, journal.log):
        third = life(left, seal, TINY)
        assert dict(third.contents()) in client.may_find(survivors), survivors
    emptied = journal.empty()
    journal.log.full = False
    journal.tick_until(lambda: bool(emptied.args))
    assert journal.entries() == []
    assert dict(life(journal.log.content, seal, TINY).contents()) == client.seen


def random_steps(rng: random.Random, count: int) -> list[Step]:
    kinds = ["put"] * 12 + ["delete"] * 3 + ["turn"] * 4 + ["settle"] * 4 + ["sync"] * 3
    kinds += ["tick"] * 2 + ["full", "empty"]
    steps = []
    for number in range(count):
        kind = rng.choice(kinds)
        # A disk that is full is so now and then.
        value = rng.randrange(2) * rng.randrange(2) if kind == "full" else number
        steps.append((kind, rng.choice(KEYS), value))
    return steps


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
def test_every_cut_of_a_long_log(vault_directory: Path, sealed: bool, seed: int) -> None:
    rng = random.Random(seed)
    seal = seal_of(vault_directory) if sealed else None
    log = check_every_cut(random_steps(rng, 400), random_steps(rng, 100), seal, rng)
    deleted = [key for key, value in log.writes if key[:1] == b"j" and value is None]
    assert len(deleted) > 30, "segments have been closed and filed"
    assert any(key[:1] == b"h" and value is not None for key, value in log.writes)


@pytest.mark.parametrize("seed", range(8))
def test_every_cut_where_each_write_closes_a_segment(seed: int) -> None:
    rng = random.Random(seed)
    limits = SegmentLimits(memory_bytes=1, entry_bytes=1)
    check_every_cut(random_steps(rng, 150), random_steps(rng, 50), None, rng, limits)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["put", "put", "put", "delete", "turn", "settle", "sync", "tick", "full", "empty"]
        ),
        st.sampled_from(KEYS[:4] + HINTS[:1] + MARKS[:1]),
        st.integers(0, 300),
    ),
    max_size=60,
)


@given(
    steps=steps,
    later=steps.map(lambda found: found[:20]),
    limits=st.sampled_from([TINY, SegmentLimits(1500, 1 << 20, 0.05), SegmentLimits(1 << 20, 300)]),
    lives=st.randoms(use_true_random=False),
)
@settings(max_examples=400)
def test_every_cut(
    steps: list[Step], later: list[Step], limits: SegmentLimits, lives: random.Random
) -> None:
    check_every_cut(steps, later, None, lives, limits)
