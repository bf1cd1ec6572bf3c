"""Wherever a crash cuts the log and the store below, the next life shows a prefix of the client's
writes, and in it all that were acknowledged. So does the life after the next.

The two are all that a journaled store leaves, and a crash cuts each for itself: of both any prefix
may survive that has in it what was durable. What each was given is recorded, and every pair of
such prefixes is brought back to life; of long histories, some of them. Segments are so small that
the cuts fall before, into and behind closings, flushes and releases.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_client import Client
from kit.journal_disks import Cut, Disk
from kit.journals import HINTS, MARKS, RECORDS, TINY, Journal, seal_of, value_for

from kvorum.journal.segment import SegmentLimits
from kvorum.sealing.seal import Seal

Step = tuple[str, bytes, int]
"""What to do, the key it concerns, and a number: of the value, of syncs, or yes and no."""

KEYS = RECORDS[:10] + HINTS[:4] + MARKS
CUTS_MAX = 4000
EACH_WRITE = SegmentLimits(memory_bytes=1, entry_bytes=1)


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
            case "log":
                journal.log.persist(number % 8)
            case "below":
                journal.below.persist(number % 3)
            case "tick":
                journal.tick()
            case "full":
                journal.below.full = number % 2 == 1
            case "empty":
                journal.empty()
    journal.settle()
    assert dict(journal.contents()) == client.seen
    assert len(client.acknowledged) == len(client.states) - 1


def life(disk: Disk, seal: Seal | None, limits: SegmentLimits) -> Journal:
    journal = Journal(disk, seal=seal, limits=limits)
    assert journal.wrong is None
    return journal


def some_cuts(disk: Disk, rng: random.Random) -> list[tuple[Cut, int]]:
    """All, if they are not too many."""
    cuts = list(disk.cuts().items())
    return rng.sample(cuts, CUTS_MAX) if len(cuts) > CUTS_MAX else cuts


def check_every_cut(
    steps: list[Step],
    later: list[Step],
    seal: Seal | None,
    rng: random.Random,
    limits: SegmentLimits = TINY,
) -> Disk:
    """`later`: what is done in some of the second lives. Returns the first life's disk."""
    journal = life(Disk(), seal, limits)
    client = Client(journal, {})
    take(client, journal, steps)
    cuts = some_cuts(journal.disk, rng)
    lived_on = {cut for cut, _ in rng.sample(cuts, min(4, len(cuts)))}
    for cut, moment in cuts:
        second = life(journal.disk.left(cut), seal, limits)
        found = dict(second.contents())
        assert found in client.may_find(moment), cut
        if cut in lived_on:
            check_second_life(second, found, later, seal, rng)
    return journal.disk


def check_second_life(
    journal: Journal,
    found: dict[bytes, bytes],
    steps: list[Step],
    seal: Seal | None,
    rng: random.Random,
) -> None:
    client = Client(journal, found)
    take(client, journal, steps)
    journal.below.full = False
    journal.empty_all()
    for cut, moment in some_cuts(journal.disk, rng):
        third = life(journal.disk.left(cut), seal, TINY)
        assert dict(third.contents()) in client.may_find(moment), cut
    assert dict(life(Disk([], journal.below.content), seal, TINY).contents()) == client.seen


def random_steps(rng: random.Random, count: int) -> list[Step]:
    kinds = ["put"] * 12 + ["delete"] * 3 + ["turn"] * 6 + ["log"] * 6 + ["below"]
    kinds += ["tick"] * 2 + ["settle", "full", "empty"]
    steps = []
    for number in range(count):
        kind = rng.choice(kinds)
        # A disk that is full is so now and then.
        value = rng.randrange(2) * rng.randrange(2) if kind == "full" else number
        steps.append((kind, rng.choice(KEYS), value))
    return steps


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sealed", [False, True], ids=["open", "sealed"])
def test_every_cut_of_a_long_history(vault_directory: Path, sealed: bool, seed: int) -> None:
    rng = random.Random(seed)
    seal = seal_of(vault_directory) if sealed else None
    disk = check_every_cut(random_steps(rng, 800), random_steps(rng, 200), seal, rng)
    flushed = [number for number, later in pairwise([0, *disk.log.released]) if later > number]
    assert len(flushed) > 10, "segments have been closed and flushed"
    assert {key[:1] for key, _ in disk.below.writes} == {b"d", b"h", b"m", b"r"}
    cuts = disk.cuts()
    lags = {moment.written - moment.flushed for moment in disk.moments}
    assert max(lags) > 5, "the store below was behind"
    assert len(cuts) > len(disk.log.appended) + len(disk.below.writes)


@pytest.mark.parametrize("seed", range(6))
def test_every_cut_where_each_commit_closes_a_segment(seed: int) -> None:
    rng = random.Random(seed)
    check_every_cut(random_steps(rng, 400), random_steps(rng, 100), None, rng, EACH_WRITE)


steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["put"] * 3 + ["delete", "turn", "settle", "log", "below", "tick", "full", "empty"]
        ),
        st.sampled_from(KEYS[:4] + HINTS[:1] + MARKS[:1]),
        st.integers(0, 300),
    ),
    max_size=60,
)


@given(
    steps=steps,
    later=steps.map(lambda found: found[:20]),
    limits=st.sampled_from(
        [TINY, EACH_WRITE, SegmentLimits(1500, 1 << 20, 0.05), SegmentLimits(1 << 20, 300)]
    ),
    rng=st.randoms(use_true_random=False),
)
@settings(max_examples=600, deadline=None)
def test_every_cut(
    steps: list[Step], later: list[Step], limits: SegmentLimits, rng: random.Random
) -> None:
    check_every_cut(steps, later, None, rng, limits)
