"""What a journaled store does, step by step: commits, flush, emptying, forgetting, failing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.journal_disks import EVERYTHING, Appended, Cut, Disk, StoreDouble
from kit.journals import (
    HINTS,
    MARKS,
    NO_LIMITS,
    RECORDS,
    Journal,
    contents,
    seal_of,
    value_for,
)
from kit.runtime import Answers
from kit.vaults import NOW_MS, not_damaged, record_key, rows, vault_of

from kvorum.journal.emptied_first import EmptiedFirst
from kvorum.journal.entries import OpenEntries
from kvorum.journal.journaled_store import BATCH_BYTES_MAX
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.model.record import Event, Record, Version, encode
from kvorum.sealing.seal import Seal
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.shred_horizon import ShredHorizon

KEY = RECORDS[0]
BY_ENTRIES = SegmentLimits(memory_bytes=1 << 40, entry_bytes=2000, age_s=1e9)


def key_of(number: int, namespace: str = "default") -> bytes:
    return record_key(number << 48, namespace, b"k%d" % number)


def put_numbered(journal: Journal, *numbers: int, size: int = 8) -> None:
    for number in numbers:
        key = key_of(number)
        journal.put(key, value_for(key, number, size), number)


def numbered(*numbers: int, size: int = 8) -> list[tuple[bytes, bytes]]:
    return [(key_of(number), value_for(key_of(number), number, size)) for number in numbers]


def fill(journal: Journal, first: int, size: int = 100) -> int:
    """One commit a write, until a segment is closed; the number of the next write."""
    number = first
    while not flushed(journal):
        put_numbered(journal, number, size=size)
        journal.settle()
        number += 1
    return number


def flushed(journal: Journal) -> list[bytes]:
    """The keys of records that were given to the store below, of journals without a seal."""
    return [key for key, _ in journal.below.writes if key[:1] == b"d"]


# Commits


def test_writes_of_one_turn_share_an_entry() -> None:
    journal = Journal()
    put_numbered(journal, 1, 2, 3)
    assert journal.numbers == []
    journal.pump.drain()
    assert journal.numbers == [1]
    assert journal.answers.args == []
    journal.log.persist()
    assert journal.answers.args == [1, 2, 3]


def test_writes_that_come_during_a_commit_share_the_next_one() -> None:
    journal = Journal()
    put_numbered(journal, 1)
    journal.pump.drain()
    put_numbered(journal, 2)
    journal.pump.drain()
    put_numbered(journal, 3)
    journal.pump.drain()
    assert journal.numbers == [1]
    journal.log.persist()
    assert journal.answers.args == [1]
    journal.pump.drain()
    assert journal.numbers == [1, 2]
    journal.log.persist()
    assert journal.answers.args == [1, 2, 3]


def test_the_next_commit_has_what_the_answers_of_the_last_one_bring() -> None:
    """Within the turn that follows them, too: it is when sockets have been read again."""
    journal = Journal(limits=NO_LIMITS)
    key = key_of(1)
    journal.store.put(
        key, value_for(key, 1), lambda *_: journal.pump.call_soon(put_numbered, journal, 3), None
    )
    journal.pump.drain()
    put_numbered(journal, 2)
    journal.log.persist()
    assert journal.numbers == [1]
    journal.pump.drain()
    assert journal.numbers == [1, 2]
    journal.log.persist()
    assert journal.answers.args == [2, 3]


def test_a_large_batch_is_split_and_its_order_is_kept() -> None:
    journal = Journal(limits=NO_LIMITS)
    size = BATCH_BYTES_MAX // 4
    put_numbered(journal, *range(10), size=size)
    journal.settle()
    assert journal.answers.args == list(range(10))
    sizes = [len(entry.text) for entry in journal.log.appended]
    assert len(sizes) == 3
    assert max(sizes) < BATCH_BYTES_MAX + 2 * size
    assert journal.contents() == numbered(*range(10), size=size)


def test_notes_that_name_no_record_are_written_in_the_same_order() -> None:
    journal = Journal()
    put_numbered(journal, 1)
    journal.put(MARKS[0], b"marked", 2)
    put_numbered(journal, 3)
    journal.delete(MARKS[0], 4)
    journal.put(MARKS[1], b"marked", 5)
    put_numbered(journal, 6)
    journal.put(MARKS[2], b"", 7)
    wanted = [*numbered(1, 3, 6), (MARKS[1], b"marked"), (MARKS[2], b"")]
    assert journal.contents() == wanted
    journal.pump.drain()
    assert journal.numbers == [1], "they share the entry of what is written beside them"
    journal.settle()
    assert journal.answers.args == [1, 2, 3, 4, 5, 6, 7]
    assert journal.below.writes == []
    assert Journal(journal.disk.left()).contents() == wanted
    journal.empty_all()
    assert journal.contents() == contents(journal.below) == wanted


def test_a_callback_that_raises_does_not_cost_the_others_their_answer() -> None:
    def raising(_arg: None, _error: StorageError | None) -> None:
        raise RuntimeError("a bug")

    journal = Journal()
    put_numbered(journal, 1)
    journal.store.put(KEY, value_for(KEY, 0), raising, None)
    put_numbered(journal, 2, 3)
    journal.pump.drain()
    put_numbered(journal, 4)
    with pytest.raises(RuntimeError, match="a bug"):
        journal.log.persist()
    journal.settle()
    assert journal.answers.args == [1, 2, 3, 4]


def test_closing_hands_over_what_was_only_put_and_files_nothing_any_more() -> None:
    journal = Journal()
    number = fill(journal, 0)
    journal.tick()
    put_numbered(journal, number)
    journal.store.close()
    before = len(flushed(journal))
    journal.settle()
    assert journal.answers.args == list(range(number + 1))
    assert not journal.tick()
    assert len(flushed(journal)) == before
    again = Journal(journal.disk.left())
    assert again.contents() == numbered(*range(number), size=100) + numbered(number)


def test_a_log_that_fails_refuses_every_write_in_its_order() -> None:
    journal = Journal()
    put_numbered(journal, 1)
    journal.settle()
    put_numbered(journal, 2)
    journal.pump.drain()
    put_numbered(journal, 3, 4)
    error = StorageError("disk on fire")
    journal.log.fail(error)
    journal.pump.drain()
    journal.log.fail(error)
    assert journal.answers.args == [1, 2, 3, 4]
    assert journal.answers.errors == [None, error, error, error]
    assert journal.store.failed is error
    durable = Cut(journal.log.durable, 0)
    assert Journal(journal.disk.left(durable)).contents() == numbered(1)


def test_a_store_below_that_fails_is_told_and_costs_no_write() -> None:
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)
    error = StorageError("disk on fire")
    journal.below.fail(error)
    assert journal.store.failed is error
    put_numbered(journal, *range(number, number + 30))
    for _ in range(10):
        journal.tick()
        journal.settle()
    assert journal.log.released == []
    acknowledged = [
        answered
        for answered, told in zip(journal.answers.args, journal.answers.errors, strict=True)
        if told is None
    ]
    for cut, moment in journal.disk.cuts().items():
        if moment == journal.disk.now:
            found = Journal(journal.disk.left(cut)).contents()
            assert {key_of(n) for n in acknowledged} <= {key for key, _ in found}


@pytest.mark.parametrize("ticks", range(6))
def test_what_a_store_below_lost_when_it_failed_is_still_seen(ticks: int) -> None:
    """A node that is about to stop may still be asked: it must not answer with older values."""
    journal = Journal(limits=BY_ENTRIES)
    fill(journal, 0)
    journal.below.persist()
    before = fill(journal, 100)
    for _ in range(ticks):
        journal.tick()
        journal.pump.drain()
        journal.log.persist()
    wanted = journal.contents()
    journal.below.fail(StorageError("disk on fire"))
    assert journal.contents() == wanted
    put_numbered(journal, *range(before, before + 30))
    for _ in range(10):
        journal.tick()
        journal.pump.drain()
        journal.log.persist()
    assert dict(journal.contents()).items() >= dict(wanted).items()
    for key, value in wanted:
        assert journal.store.get(key) == value


# Flush


def kept_bytes(journal: Journal) -> int:
    needed = set(journal.numbers)
    return sum(len(entry.text) for entry in journal.log.appended if entry.number in needed)


def test_flushing_beside_new_writes_is_done_before_the_next_segment_is_full() -> None:
    """So each write bears its share: one value flushed, and half as much."""
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)
    most = 0
    for later in range(number, number + 300):
        before = len(journal.below.writes)
        put_numbered(journal, later, size=100)
        journal.settle()
        assert len(journal.below.writes) - before <= 3
        most = max(most, kept_bytes(journal))
    # All of a segment is there until the next has two thirds.
    assert most <= BY_ENTRIES.entry_bytes * 1.8
    assert journal.contents() == numbered(*range(number + 300), size=100)
    assert len(flushed(journal)) > 300 + number - 30


def test_two_segments_of_entries_are_kept_at_most_whatever_their_sizes() -> None:
    journal = Journal(limits=BY_ENTRIES)
    largest = 1500
    for number in range(400):
        put_numbered(journal, number, size=largest if number % 30 > 25 else 30)
        journal.settle()
        assert kept_bytes(journal) <= 2 * (BY_ENTRIES.entry_bytes + largest)
    assert len(flushed(journal)) > 300


def test_a_record_that_is_replaced_soon_is_flushed_once() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(50):
        journal.put(KEY, value_for(KEY, number))
        journal.settle()
    journal.empty_all()
    assert journal.below.writes == [(KEY, value_for(KEY, 49))]


def test_an_old_segment_is_flushed_by_ticks_where_no_writes_come() -> None:
    journal = Journal(limits=SegmentLimits(1 << 40, 1 << 40, age_s=10.0))
    put_numbered(journal, *range(300))
    journal.settle()
    while journal.pump.time < 9.9:
        assert journal.tick()
    assert flushed(journal) == []
    journal.tick_until(lambda: not journal.numbers)
    assert journal.contents() == contents(journal.below) == numbered(*range(300))
    journal.tick()
    journal.settle()
    assert not journal.tick(), "where nothing is to be done no timer runs"


def test_a_segment_is_as_old_as_its_first_write() -> None:
    journal = Journal(limits=SegmentLimits(1 << 40, 1 << 40, age_s=10.0))
    for number in range(15):
        put_numbered(journal, number)
        journal.settle()
        journal.pump.time += 1.0
        journal.tick()
        journal.settle()
    assert flushed(journal)


def test_the_next_write_after_a_pause_starts_a_segment_of_its_own_age() -> None:
    journal = Journal(limits=SegmentLimits(1 << 40, 1 << 40, age_s=10.0))
    put_numbered(journal, 1)
    journal.settle()
    journal.tick_until(lambda: not journal.numbers, 1000)
    journal.pump.time += 100
    put_numbered(journal, 2)
    journal.settle()
    began = journal.pump.time
    while journal.pump.time < began + 9.9:
        assert journal.tick()
    assert journal.numbers
    journal.tick_until(lambda: not journal.numbers)


def test_a_tick_that_finds_a_full_segment_and_gathered_writes_files_all_of_them() -> None:
    """The commit of what is gathered may be what closes the segment."""
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)
    put_numbered(journal, *range(number, number + 50), size=100)
    journal.pump.drain()  # A whole segment at once; the flush of the one before goes on.
    put_numbered(journal, number + 50, size=100)
    journal.tick()
    journal.tick()
    wanted = numbered(*range(number + 51), size=100)
    assert journal.contents() == wanted
    journal.empty_all()
    assert journal.contents() == contents(journal.below) == wanted


@pytest.mark.parametrize("gathered", [1, 40])
def test_a_tick_that_finds_an_old_segment_and_gathered_writes_loses_neither(gathered: int) -> None:
    journal = Journal(limits=SegmentLimits(1 << 40, 2000, age_s=10.0))
    put_numbered(journal, 0, size=100)
    journal.pump.drain()
    put_numbered(journal, *range(1, 1 + gathered), size=100)
    journal.pump.time = 11.0
    journal.tick()
    wanted = numbered(*range(1 + gathered), size=100)
    assert journal.contents() == wanted
    journal.settle()
    journal.empty_all()
    assert journal.contents() == contents(journal.below) == wanted


def test_entries_are_let_go_of_when_all_they_hold_is_durable_below() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(10):
        put_numbered(journal, number)
        journal.settle()
    emptied = journal.empty()
    for _ in range(5):
        journal.tick()
        journal.pump.drain()
        journal.log.persist()
    assert journal.below.writes == numbered(*range(10))
    assert (journal.log.released, emptied.args) == ([], [])
    journal.below.persist()
    assert journal.log.released[0] == 10
    assert emptied.args == [], "that they are is to be durable as well"
    journal.log.persist()
    assert emptied.args == [None]


def test_each_segment_is_let_go_of_up_to_its_own_last_entry() -> None:
    journal = Journal(limits=BY_ENTRIES)
    for number in range(200):
        put_numbered(journal, number, size=100)
        journal.settle()
        for released in journal.log.released[-1:]:
            kept = journal.log.left(EVERYTHING)
            unflushed = {key_of(n) for n in range(number + 1)} - set(flushed(journal))
            held = {
                key
                for entry in kept
                if entry.text and entry.number > released
                for key, _ in OpenEntries().open(entry.number, entry.text)
            }
            assert unflushed <= held
    assert len(journal.log.released) > 5
    assert journal.log.released == sorted(set(journal.log.released))


def test_nothing_is_flushed_before_its_entry_is_durable() -> None:
    """Else a crash could leave a write, and not what was written before it."""
    journal = Journal(limits=BY_ENTRIES)
    put_numbered(journal, *range(50), size=100)
    journal.pump.drain()
    for _ in range(5):
        journal.tick()
        journal.pump.drain()
    emptied = journal.empty()
    for _ in range(5):
        journal.tick()
        journal.pump.drain()
    assert journal.below.writes == []
    journal.log.persist()
    assert journal.store.get(key_of(0)) is not None
    journal.tick()
    assert journal.below.writes, "the tick that somebody waits for comes at once"
    journal.tick_until(lambda: bool(emptied.args))
    assert contents(journal.below) == numbered(*range(50), size=100)


def test_no_timer_turns_in_circles_while_the_disk_works() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(10))
    emptied = journal.empty()
    for _ in range(20):
        journal.tick()
        journal.pump.drain()
    assert [timer.delay_s for timer in journal.pump.timers if not timer.cancelled] != [0.0]
    journal.log.persist()
    for _ in range(20):
        journal.tick()
        journal.pump.drain()
    assert journal.below.writes == numbered(*range(10))
    assert [timer.delay_s for timer in journal.pump.timers if not timer.cancelled] != [0.0]
    journal.tick_until(lambda: bool(emptied.args))


def test_while_the_disk_is_full_nothing_is_flushed() -> None:
    journal = Journal(limits=BY_ENTRIES)
    journal.below.full = True
    put_numbered(journal, *range(100), size=100)
    journal.settle()
    for number in range(100, 140):
        put_numbered(journal, number, size=100)
        journal.settle()
        journal.tick()
    emptied = journal.empty()
    for _ in range(20):
        assert journal.tick(), "it has to notice when there is room"
        journal.settle()
    assert flushed(journal) == []
    assert len(journal.numbers) == 41
    assert emptied.args == []
    assert journal.contents() == numbered(*range(140), size=100)

    journal.below.full = False
    journal.tick_until(lambda: bool(emptied.args))
    assert journal.numbers == []
    assert contents(journal.below) == numbered(*range(140), size=100)


def test_a_disk_that_fills_up_stops_flushing_where_it_is() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(500))
    emptied = journal.empty()
    journal.settle()
    journal.tick()
    journal.tick()
    assert 0 < len(flushed(journal)) < 500
    journal.below.full = True
    before = len(flushed(journal))
    for _ in range(5):
        journal.tick()
        journal.settle()
    assert len(flushed(journal)) == before
    assert journal.contents() == numbered(*range(500))
    journal.below.full = False
    journal.tick_until(lambda: bool(emptied.args))
    assert contents(journal.below) == numbered(*range(500))


# Emptying


def test_emptying_is_done_when_all_is_flushed_durably_and_no_trace_of_an_entry_is_left() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(300))
    journal.put(HINTS[0], b"hint", 300)
    journal.put(MARKS[0], b"mark", 301)
    emptied = journal.empty("a")
    put_numbered(journal, 301)
    for turn in range(200):
        journal.tick()
        journal.pump.drain()
        if emptied.args:
            break
        journal.log.persist(turn % 2)
        if not emptied.args:
            journal.below.persist(turn % 3)
    assert (emptied.args, emptied.errors) == (["a"], [None])
    left = journal.below.left(journal.below.durable)
    assert {key for key, _ in numbered(*range(300))} | {HINTS[0], MARKS[0]} <= left.keys()
    assert 1 not in journal.log.traces
    moment = journal.disk.moments[-1]
    again = Journal(journal.disk.left(Cut(moment.logged, 0)))
    assert again.numbers in ([], [2])
    assert journal.contents() == [
        *numbered(*range(300), 301), (HINTS[0], b"hint"), (MARKS[0], b"mark"),
    ]  # fmt: skip


def test_traces_of_what_was_flushed_long_ago_are_gone_as_well() -> None:
    journal = Journal(limits=BY_ENTRIES)
    for number in range(100):
        put_numbered(journal, number, size=100)
        journal.settle()
    assert min(journal.numbers) > 20
    assert min(journal.log.traces) == 1, "where nobody asks for it, they are not removed"
    journal.empty_all()


def test_closing_answers_those_who_wait_for_an_empty_journal() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(300))
    answers = Answers()
    journal.store.empty(answers.done, "a")
    journal.settle()
    journal.tick()
    put_numbered(journal, 300)
    journal.store.empty(answers.done, "b")
    journal.store.close()
    journal.settle()
    journal.tick()
    assert sorted(answers.args) == ["a", "b"]
    assert all("closed" in str(error) for error in answers.errors)
    assert journal.answers.args == list(range(301)), "the writes are durable all the same"
    assert not any(journal.answers.errors)
    assert Journal(journal.disk.left()).contents() == numbered(*range(301))


@pytest.mark.parametrize("written", [0, 10])
def test_emptying_a_store_that_is_closed_is_answered(written: int) -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(written))
    journal.store.close()
    journal.settle()
    emptied = journal.empty()
    assert emptied.args == []
    journal.settle()
    assert len(emptied.args) == 1
    assert "closed" in str(emptied.errors[0])


def test_closing_while_the_last_of_it_is_becoming_durable_below() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(10))
    emptied = journal.empty()
    for _ in range(5):
        journal.tick()
        journal.pump.drain()
        journal.log.persist()
    journal.store.close()
    journal.below.persist()
    journal.settle()
    assert len(emptied.args) == 1
    assert emptied.errors != [None]
    for cut in journal.disk.cuts_now():
        assert Journal(journal.disk.left(cut)).contents() == numbered(*range(10))


def test_an_empty_journal_is_emptied_at_once() -> None:
    journal = Journal()
    emptied = journal.empty("a")
    assert emptied.args == []
    journal.settle()
    assert (emptied.args, emptied.errors) == (["a"], [None])


def test_emptying_may_be_asked_for_again_at_any_time() -> None:
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)  # and the next is being flushed
    answers = Answers()
    for ask in range(4):
        journal.store.empty(answers.done, ask)
        put_numbered(journal, number + ask)
        journal.tick()
    journal.tick_until(lambda: len(answers.args) == 4)
    assert answers.args == [0, 1, 2, 3]
    assert answers.errors == [None] * 4
    journal.store.empty(answers.done, 4)
    journal.tick_until(lambda: len(answers.args) == 5)
    assert journal.numbers == []
    assert contents(journal.below) == journal.contents()
    journal.tick()
    journal.settle()
    assert answers.args == [0, 1, 2, 3, 4]


def test_emptying_does_not_wait_for_what_is_written_later() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, 0)
    emptied = journal.empty()
    for number in range(1, 400):
        put_numbered(journal, number)
        journal.settle()
        journal.tick()
        if emptied.args:
            break
    assert emptied.args
    assert number < 10


@pytest.mark.parametrize("spoil", ["shred", "damage"])
def test_entries_that_open_to_nothing_are_emptied_as_well(tmp_path: Path, spoil: str) -> None:
    """What they held was shredded, or is lost. They go like all others."""
    vault = vault_of(tmp_path, StoreDouble())
    journal = Journal(seal=vault.seal)
    put_numbered(journal, 1)
    journal.settle()
    disk = journal.disk.left()
    if spoil == "shred":
        vault.shred("default", NOW_MS)
    else:
        disk = spoilt(journal.disk, 1, b"nonsense")
    again = Journal(disk, seal=vault.seal)
    assert (again.wrong is None) == (spoil == "shred")
    again.empty_all()


def test_entries_that_open_to_nothing_go_when_they_are_old() -> None:
    journal = Journal(Disk([Appended(1, b"nonsense", 1)]))
    assert journal.wrong is not None
    journal.tick_until(lambda: not journal.numbers, 1000)
    assert Journal(journal.disk.left()).wrong is None


@pytest.mark.parametrize("which", ["log", "below"])
@pytest.mark.parametrize("when", ["before", "at once", "flushed"])
def test_emptying_is_answered_with_the_failure_of_the_disk(when: str, which: str) -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(10))
    journal.settle()
    error = StorageError("disk on fire")
    failing = journal.log if which == "log" else journal.below
    if when == "before":
        failing.fail(error)
    emptied = journal.empty()
    if when == "flushed":
        journal.tick()
        journal.tick()
        assert journal.below.writes
    failing.fail(error)
    journal.tick_until(lambda: bool(emptied.args))
    assert emptied.errors == [error]
    for cut in journal.disk.cuts_now():
        assert Journal(journal.disk.left(cut)).contents() == numbered(*range(10))


class Files:
    """The engine's files, which are asked for work."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.found: list[tuple[str, int]] = []

    def flush(self, settled: Any) -> None:
        self.found.append(("flush", len(self.journal.numbers)))
        settled(None)

    def compact(self, settled: Any) -> None:
        self.found.append(("compact", len(self.journal.numbers)))
        settled(None)


def test_work_on_files_finds_the_journal_emptied() -> None:
    journal = Journal(limits=NO_LIMITS)
    files = Files(journal)
    first = EmptiedFirst(journal.store, files)
    settled: list[StorageError | None] = []
    put_numbered(journal, *range(10))
    first.flush(settled.append)
    journal.tick_until(lambda: len(settled) == 1)
    put_numbered(journal, *range(10))
    first.compact(settled.append)
    journal.tick_until(lambda: len(settled) == 2)
    assert settled == [None, None]
    assert files.found == [("flush", 0), ("compact", 0)]


# Forgetting


@pytest.mark.parametrize("ticks", range(4))
def test_what_is_forgotten_while_it_is_flushed_is_neither_seen_nor_flushed(ticks: int) -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(200):
        for namespace in ("default", "open"):
            key = key_of(number, namespace)
            journal.put(key, value_for(key, number))
    emptied = journal.empty()
    for _ in range(ticks):
        journal.tick()
        journal.settle()
    put_numbered(journal, 999)  # in the next segment
    journal.store.forget("default")
    flushed_before = sum(b"default" in key for key in flushed(journal))
    seen = [key for key, _ in journal.contents() if b"default" in key]
    assert seen == [key for key, _ in contents(journal.below) if b"default" in key]
    journal.tick_until(lambda: bool(emptied.args))
    assert sum(b"default" in key for key in flushed(journal)) == flushed_before
    assert sum(b"open" in key for key in flushed(journal)) == 200


# Former lives


def record_at(key: bytes, *timestamps: int) -> bytes:
    """A record with siblings, written at these times by as many actors."""
    events = [Event(actor, 1, timestamp) for actor, timestamp in enumerate(timestamps)]
    versions = tuple(Version(dot, 1, b'"%d"' % dot.timestamp) for dot in events)
    return encode(key, Record(tuple(events), versions))


def test_what_former_lives_have_left_in_the_log_is_not_taken_up() -> None:
    journal = Journal()
    old, new, mixed, hint = key_of(1), key_of(2), key_of(3), HINTS[0]
    journal.put(old, record_at(old, 10, 1000))
    journal.put(new, record_at(new, 1001, 2000))
    journal.put(mixed, record_at(mixed, 10, 1001))
    journal.put(hint, b"hint")
    journal.settle()
    ShredHorizon(journal.below).end("default", 1000)
    disk = journal.disk.left()
    again = Journal(disk, shred_horizon=ShredHorizon(disk.below))
    kept = Record((Event(0, 1, 10), Event(1, 1, 1001)), (Version(Event(1, 1, 1001), 1, b'"1001"'),))
    wanted = {new: record_at(new, 1001, 2000), mixed: encode(mixed, kept), hint: b"hint"}
    assert dict(again.contents()) == wanted
    again.empty_all()
    assert dict(contents(disk.below)) == wanted


def test_what_was_gathered_when_its_namespace_was_shredded_is_gone_after_a_crash(
    tmp_path: Path,
) -> None:
    """The entry that it goes to is sealed with the new key."""
    disk = Disk()
    vault = vault_of(tmp_path, disk.below)
    lives = ShredHorizon(disk.below)
    journal = Journal(disk, seal=vault.seal, shred_horizon=lives)
    key = key_of(1)
    journal.put(key, record_at(key, 10), 1)
    lives.end("default", 1000)
    vault.shred("default", NOW_MS)
    journal.store.forget("default")
    journal.settle()
    assert (journal.answers.args, journal.answers.errors) == ([1], [None])
    after = disk.left()
    again = Journal(after, seal=vault.seal, shred_horizon=ShredHorizon(after.below))
    assert again.contents() == []


# Damage


def damaged(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


class Flipping(SealedStore):
    """A sealed store that is given what a bit has flipped in since it was put."""

    flip: bytes = b""

    def write(self, key: bytes, value: bytes | None) -> None:
        super().write(key, damaged(value) if key == self.flip and value else value)


@pytest.fixture
def seal(vault_directory: Path) -> Seal:
    return seal_of(vault_directory)


def flipping(seal: Seal, limits: SegmentLimits) -> tuple[Journal, Flipping]:
    disk = Disk()
    below = Flipping(disk.below, seal, not_damaged, rows())
    return Journal(disk, limits=limits, seal=seal, below=below), below


@pytest.mark.parametrize("gathered", [False, True])
def test_a_record_damaged_in_memory_fails_the_store_and_is_whole_on_the_disk(
    seal: Seal, gathered: bool
) -> None:
    journal, below = flipping(seal, NO_LIMITS)
    put_numbered(journal, *range(50))
    journal.settle()
    below.flip = key_of(20)
    emptied = journal.empty()
    journal.tick()
    if gathered:  # when the damage is met
        put_numbered(journal, 50, 51)
        journal.pump.drain()
        put_numbered(journal, 52)
    journal.tick()
    journal.settle()
    assert journal.failures == [journal.store.failed]
    assert "damaged in this node's memory" in str(journal.failures[0])
    last = 53 if gathered else 50
    assert journal.answers.args == list(range(last))

    put_numbered(journal, 98)
    journal.delete(key_of(1), 99)
    for _ in range(10):
        journal.tick()
        journal.settle()
    assert journal.answers.args == [*range(last), 98, 99]
    assert [error for error in journal.answers.errors if error] == [journal.failures[0]] * 2
    assert emptied.errors != [None], "the journal is not empty"
    acknowledged = [
        number
        for number, error in zip(journal.answers.args, journal.answers.errors, strict=True)
        if error is None
    ]
    assert Journal(journal.disk.left(), seal=seal).contents() == numbered(*acknowledged)
    assert len(journal.failures) == 1


def test_damage_found_while_flushing_beside_new_writes_fails_the_store(seal: Seal) -> None:
    journal, below = flipping(seal, BY_ENTRIES)
    below.flip = key_of(3)
    number = 0
    while journal.store.failed is None:
        put_numbered(journal, number, size=100)
        journal.settle()
        number += 1
    # The write whose commit has met it is itself durable.
    assert journal.answers.errors == [None] * number
    put_numbered(journal, number)
    journal.settle()
    assert journal.answers.errors[-1] is journal.store.failed
    assert Journal(journal.disk.left(), seal=seal).contents() == numbered(*range(number), size=100)


def test_a_record_damaged_in_memory_keeps_its_entry_whatever_is_written_beside(seal: Seal) -> None:
    """Writes that were gathered when the damage is met are still to come."""
    journal, below = flipping(seal, BY_ENTRIES)
    put_numbered(journal, *range(30), size=100)
    journal.settle()  # a segment is closed, and not flushed yet
    assert flushed(journal) == []
    below.flip = key_of(20)
    put_numbered(journal, *range(30, 60), size=100)
    journal.tick()
    assert journal.store.failed is not None
    for _ in range(20):
        journal.settle()
        journal.tick()
    found = Journal(journal.disk.left(), seal=seal).contents()
    assert found == numbered(*range(60), size=100)


def test_a_store_that_failed_takes_no_notes_either(seal: Seal) -> None:
    journal, below = flipping(seal, NO_LIMITS)
    put_numbered(journal, 1)
    below.flip = key_of(1)
    journal.empty()
    journal.settle()
    journal.tick_until(lambda: bool(journal.failures))
    journal.put(MARKS[0], b"marked", "mark")
    journal.delete(MARKS[0], "gone")
    journal.settle()
    assert journal.answers.args == [1, "mark", "gone"]
    assert journal.answers.errors[1:] == [journal.store.failed] * 2


class Raising(StoreDouble):
    """A store below that has a bug."""

    def write(self, key: bytes, value: bytes | None) -> None:
        raise RuntimeError("a bug")


def test_an_error_while_flushing_hides_nothing_and_lets_go_of_no_entry() -> None:
    journal = Journal(limits=NO_LIMITS, below=Raising())
    put_numbered(journal, *range(10))
    journal.settle()
    emptied = journal.empty()
    journal.tick()
    with pytest.raises(RuntimeError, match="a bug"):
        journal.tick()
    put_numbered(journal, 10)
    journal.settle()
    assert emptied.args == []
    assert [journal.store.get(key) for key, _ in numbered(*range(11))] == [
        value for _, value in numbered(*range(11))
    ]
    assert Journal(journal.disk.left()).contents() == numbered(*range(11))


# Replay


def spoilt(disk: Disk, number: int, text: bytes | None = None) -> Disk:
    """The next life's, where that entry has another text; if none is given, a flipped bit."""
    left = [
        Appended(number, text or damaged(entry.text), entry.needed)
        if entry.number == number
        else entry
        for entry in disk.log.left(EVERYTHING)
    ]
    return Disk(left, disk.below.content)


def test_a_new_life_goes_on_with_the_numbers_of_the_last_one() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(5):
        put_numbered(journal, number)
        journal.settle()
    again = Journal(journal.disk.left(), limits=NO_LIMITS)
    assert again.wrong is None
    put_numbered(again, 5)
    again.settle()
    assert again.numbers == [1, 2, 3, 4, 5, 6]
    assert again.contents() == numbered(*range(6))


def test_an_entry_that_does_not_open_is_told_and_the_rest_is_taken_up(seal: Seal) -> None:
    journal = Journal(limits=NO_LIMITS, seal=seal)
    for number in range(200):
        put_numbered(journal, number)
        journal.settle()
    again = Journal(spoilt(journal.disk, 100), limits=NO_LIMITS, seal=seal)
    assert again.wrong is not None
    assert "An entry of the journal is damaged" in again.wrong
    rest = [number for number in range(200) if number != 99]
    assert again.contents() == numbered(*rest)
    again.empty_all()
    last = Journal(again.disk.left(), seal=seal)
    assert last.wrong is None, "it is told until the entry is let go of"
    assert last.contents() == numbered(*rest)


def test_entries_that_were_let_go_of_are_not_taken_up() -> None:
    """Though what they were may still be on the disk."""
    journal = Journal(limits=BY_ENTRIES)
    for number in range(100):
        put_numbered(journal, number, size=100)
        journal.settle()
    assert journal.numbers[0] > 20
    last = 100 - len(journal.numbers)
    again = Journal(Disk(journal.log.left(EVERYTHING)), limits=NO_LIMITS)
    assert again.contents() == numbered(*range(last, 100), size=100)


def test_what_was_taken_up_is_flushed_where_no_writes_come() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(10):
        put_numbered(journal, number)
        journal.settle()
    again = Journal(journal.disk.left(), limits=SegmentLimits(1 << 40, 1 << 40, age_s=1.0))
    again.tick_until(lambda: not again.numbers)
    assert again.below.writes == numbered(*range(10))
    assert again.log.released == [10]


def test_a_segment_that_was_taken_up_full_is_closed_with_the_first_write() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(100):
        put_numbered(journal, number, size=100)
        journal.settle()
    again = Journal(journal.disk.left(), limits=BY_ENTRIES)
    number = 100
    while len(again.numbers) > 30:
        put_numbered(again, number, size=100)
        again.settle()
        number += 1
        assert number < 250
    assert again.contents() == numbered(*range(number), size=100)


def test_entries_may_be_replayed_over_what_was_flushed_of_them() -> None:
    """An entry says what to put, never what to add."""
    entries = OpenEntries()
    key = key_of(1)
    left = [
        Appended(4, entries.seal(4, [(key, value_for(key, 1))]), 4),
        Appended(5, entries.seal(5, [(key, value_for(key, 2))]), 4),
    ]
    for flushed_before in (1, 2):
        disk = Disk(left, {key: value_for(key, flushed_before)})
        assert Journal(disk).contents() == [(key, value_for(key, 2))]
