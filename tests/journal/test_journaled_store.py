"""What a journaled store does, step by step: commits, filing, emptying, forgetting, failing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journals import (
    HINTS,
    MARKS,
    NO_LIMITS,
    RECORDS,
    Journal,
    LogDouble,
    contents,
    entries_in,
    seal_of,
    value_for,
)
from pump import Answers
from vaults import NOW_MS, not_damaged, record_key, rows, vault_of

from kvorum.journal.emptied_first import EmptiedFirst
from kvorum.journal.entries import OpenEntries, entry_key
from kvorum.journal.journaled_store import BATCH_BYTES_MAX, CROWD
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.record import Event, Record, Version, encode
from kvorum.sealing.former_life import FormerLives
from kvorum.sealing.seal import Seal
from kvorum.sealing.sealed_store import SealedStore
from kvorum.storage.store import Done

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
    while not filed(journal):
        put_numbered(journal, number, size=size)
        journal.settle()
        number += 1
    return number


def filed(journal: Journal) -> list[bytes]:
    """The keys of records that were given to the store below, of journals without a seal."""
    return [key for key, _ in journal.log.writes if key[:1] == b"d"]


# Commits


def test_writes_of_one_turn_share_an_entry() -> None:
    journal = Journal()
    put_numbered(journal, 1, 2, 3)
    assert journal.log.writes == []
    journal.pump.drain()
    assert journal.entries() == [entry_key(1)]
    assert journal.answers.args == []
    journal.log.sync()
    assert journal.answers.args == [1, 2, 3]


def test_writes_that_come_during_a_commit_share_the_next_one() -> None:
    journal = Journal()
    put_numbered(journal, 1)
    journal.pump.drain()
    put_numbered(journal, 2)
    journal.pump.drain()
    put_numbered(journal, 3)
    journal.pump.drain()
    assert journal.entries() == [entry_key(1)]
    journal.log.sync()
    assert journal.answers.args == [1]
    assert journal.entries() == [entry_key(1), entry_key(2)]
    journal.log.sync()
    assert journal.answers.args == [1, 2, 3]


def test_the_next_commit_is_under_way_when_the_callbacks_run() -> None:
    journal = Journal()
    found: list[int] = []
    key = key_of(1)
    journal.store.put(
        key, value_for(key, 1), lambda _arg, _error: found.append(len(journal.entries())), None
    )
    journal.pump.drain()
    put_numbered(journal, 2)
    journal.log.sync()
    assert found == [2]


def test_a_crowd_waits_a_moment_for_more() -> None:
    journal = Journal(limits=NO_LIMITS, gather_s=0.25)
    put_numbered(journal, 1)
    journal.pump.drain()
    put_numbered(journal, *range(2, 2 + CROWD))
    journal.log.sync()
    journal.pump.drain()
    assert journal.answers.args == [1]
    assert len(journal.entries()) == 1
    (timer,) = (timer for timer in journal.pump.timers if timer.delay_s == 0.25)
    put_numbered(journal, 100)
    journal.pump.drain()
    assert len(journal.entries()) == 1
    timer.go_off()
    assert len(journal.entries()) == 2
    journal.log.sync()
    assert journal.answers.args == [1, *range(2, 2 + CROWD), 100]


def test_a_few_writes_wait_for_nobody() -> None:
    journal = Journal(limits=NO_LIMITS, gather_s=0.25)
    put_numbered(journal, 1)
    journal.pump.drain()
    put_numbered(journal, *range(2, 1 + CROWD))
    journal.log.sync()
    assert len(journal.entries()) == 2
    assert all(timer.delay_s != 0.25 for timer in journal.pump.timers)


def test_closing_does_not_wait_for_a_crowd() -> None:
    journal = Journal(limits=NO_LIMITS, gather_s=0.25)
    put_numbered(journal, 1)
    journal.pump.drain()
    put_numbered(journal, *range(2, 2 + CROWD))
    journal.log.sync()
    journal.store.close()
    journal.log.sync()
    assert journal.answers.args == [1, *range(2, 2 + CROWD)]
    journal.tick()
    assert len(journal.entries()) == 2


def test_a_large_batch_is_split_and_its_order_is_kept() -> None:
    journal = Journal(limits=NO_LIMITS)
    size = BATCH_BYTES_MAX // 4
    put_numbered(journal, *range(10), size=size)
    journal.settle()
    assert journal.answers.args == list(range(10))
    entries = [value for key, value in journal.log.writes if key[:1] == b"j"]
    assert len(entries) == 3
    assert all(len(entry or b"") < BATCH_BYTES_MAX + 2 * size for entry in entries)
    assert journal.contents() == numbered(*range(10), size=size)


def test_notes_that_pass_by_keep_their_place_in_the_log() -> None:
    journal = Journal()
    put_numbered(journal, 1)
    journal.put(MARKS[0], b"marked", 2)
    put_numbered(journal, 3)
    journal.delete(MARKS[0], 4)
    journal.put(MARKS[1], b"marked", 5)
    put_numbered(journal, 6)
    journal.settle()
    assert journal.answers.args == [1, 2, 3, 4, 5, 6]
    assert [key for key, _ in journal.log.writes] == [
        entry_key(1), MARKS[0], entry_key(2), MARKS[0], MARKS[1], entry_key(3),
    ]  # fmt: skip
    assert journal.contents() == [*numbered(1, 3, 6), (MARKS[1], b"marked")]


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
        journal.log.sync()
    journal.settle()
    assert journal.answers.args == [1, 2, 3, 4]


def test_closing_hands_over_what_was_only_put_and_files_nothing_any_more() -> None:
    journal = Journal()
    number = fill(journal, 0)
    put_numbered(journal, number)
    journal.store.close()
    before = len(filed(journal))
    journal.settle()
    assert journal.answers.args == list(range(number + 1))
    assert not journal.tick()
    assert len(filed(journal)) == before
    again = Journal(journal.log)
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
    journal.log.fail(error)
    assert journal.answers.args == [1, 2, 3, 4]
    assert journal.answers.errors == [None, error, error, error]
    assert journal.store.failed is error


# Filing


def kept_bytes(journal: Journal) -> int:
    return sum(len(journal.log.content[key]) for key in journal.entries())


def test_filing_beside_new_writes_is_done_before_the_next_segment_is_full() -> None:
    """So each write bears its share: one value filed and one entry deleted, and half as much."""
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)
    most = 0
    for later in range(number, number + 300):
        before = len(journal.log.writes)
        put_numbered(journal, later, size=100)
        journal.settle()
        assert len(journal.log.writes) - before <= 1 + 4
        most = max(most, kept_bytes(journal))
    # All of a segment is there when the next has a third, and nothing when it has two thirds.
    assert most <= BY_ENTRIES.entry_bytes * 1.6
    assert journal.contents() == numbered(*range(number + 300), size=100)
    assert len(filed(journal)) > 300 + number - 30


def test_two_segments_of_entries_are_kept_at_most_whatever_their_sizes() -> None:
    journal = Journal(limits=BY_ENTRIES)
    largest = 1500
    for number in range(400):
        put_numbered(journal, number, size=largest if number % 30 > 25 else 30)
        journal.settle()
        assert kept_bytes(journal) <= 2 * (BY_ENTRIES.entry_bytes + largest)
    assert len(filed(journal)) > 300


def test_a_record_that_is_replaced_soon_is_filed_once() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(50):
        journal.put(KEY, value_for(KEY, number))
        journal.settle()
    emptied = journal.empty()
    journal.tick_until(lambda: bool(emptied.args))
    assert [write for write in journal.log.writes if write[0] == KEY] == [(KEY, value_for(KEY, 49))]


def test_an_old_segment_is_filed_by_ticks_where_no_writes_come() -> None:
    journal = Journal(limits=SegmentLimits(1 << 40, 1 << 40, age_s=10.0))
    put_numbered(journal, *range(300))
    journal.settle()
    while journal.pump.time < 9.9:
        assert journal.tick()
    assert filed(journal) == []
    journal.tick_until(lambda: not journal.entries())
    assert journal.contents() == contents(journal.log) == numbered(*range(300))
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
    assert filed(journal)


def test_the_next_write_after_a_pause_starts_a_segment_of_its_own_age() -> None:
    journal = Journal(limits=SegmentLimits(1 << 40, 1 << 40, age_s=10.0))
    put_numbered(journal, 1)
    journal.settle()
    journal.tick_until(lambda: not journal.entries(), 1000)
    journal.pump.time += 100
    put_numbered(journal, 2)
    journal.settle()
    began = journal.pump.time
    while journal.pump.time < began + 9.9:
        assert journal.tick()
    assert journal.entries()
    journal.tick_until(lambda: not journal.entries())


def test_a_tick_that_finds_a_full_segment_and_gathered_writes_files_all_of_them() -> None:
    """The commit of what is gathered may be what closes the segment."""
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)
    put_numbered(journal, *range(number, number + 50), size=100)
    journal.pump.drain()  # A whole segment at once; the filing of the one before goes on.
    put_numbered(journal, number + 50, size=100)
    journal.tick()
    journal.tick()
    wanted = numbered(*range(number + 51), size=100)
    assert journal.contents() == wanted
    emptied = journal.empty()
    journal.tick_until(lambda: bool(emptied.args))
    assert journal.entries() == []
    assert journal.contents() == contents(journal.log) == wanted


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
    emptied = journal.empty()
    journal.tick_until(lambda: bool(emptied.args))
    assert journal.entries() == []
    assert journal.contents() == contents(journal.log) == wanted


def test_entries_are_deleted_oldest_first_behind_all_that_was_filed() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(10):
        put_numbered(journal, number)
        journal.settle()
    emptied = journal.empty()
    journal.tick_until(lambda: bool(emptied.args))
    below = journal.log.writes[10:]
    assert below[:10] == numbered(*range(10))
    assert below[10:20] == [(entry_key(number), None) for number in range(1, 11)]


def test_while_the_disk_is_full_nothing_is_filed() -> None:
    journal = Journal(limits=BY_ENTRIES)
    journal.log.full = True
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
    assert filed(journal) == []
    assert len(journal.entries()) == 41
    assert emptied.args == []
    assert journal.contents() == numbered(*range(140), size=100)

    journal.log.full = False
    journal.tick_until(lambda: bool(emptied.args))
    assert journal.entries() == []
    assert contents(journal.log) == numbered(*range(140), size=100)


def test_a_disk_that_fills_up_stops_filing_where_it_is() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(500))
    emptied = journal.empty()
    journal.settle()
    journal.tick()
    journal.tick()
    assert 0 < len(filed(journal)) < 500
    journal.log.full = True
    before = len(filed(journal))
    for _ in range(5):
        journal.tick()
        journal.settle()
    assert len(filed(journal)) == before
    assert journal.contents() == numbered(*range(500))
    journal.log.full = False
    journal.tick_until(lambda: bool(emptied.args))
    assert contents(journal.log) == numbered(*range(500))


# Emptying


def test_emptying_is_done_when_all_is_filed_durably_and_no_entry_is_left() -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(300))
    journal.put(HINTS[0], b"hint", 300)
    emptied = journal.empty("a")
    put_numbered(journal, 301)
    while not emptied.args:
        journal.tick()
        journal.pump.drain()
        if emptied.args or not journal.log.durable < len(journal.log.writes):
            continue
        assert emptied.args == []
        journal.log.sync(1)
    assert (emptied.args, emptied.errors) == (["a"], [None])
    left = journal.log.cut(journal.log.durable)
    assert not any(key <= entry_key(1) for key in entries_in(LogDouble(left)))
    assert {key for key, _ in [*numbered(*range(300)), (HINTS[0], b"")]} <= left.keys()
    assert journal.contents() == [*numbered(*range(300), 301), (HINTS[0], b"hint")]


def test_an_empty_journal_is_emptied_at_once() -> None:
    journal = Journal()
    emptied = journal.empty("a")
    assert emptied.args == []
    journal.settle()
    assert (emptied.args, emptied.errors) == (["a"], [None])


def test_emptying_may_be_asked_for_again_at_any_time() -> None:
    journal = Journal(limits=BY_ENTRIES)
    number = fill(journal, 0)  # and the next is being filed
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
    assert journal.entries() == []
    assert contents(journal.log) == journal.contents()
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
    vault = vault_of(tmp_path, LogDouble())
    journal = Journal(seal=vault.seal)
    put_numbered(journal, 1)
    journal.settle()
    if spoil == "shred":
        vault.shred("default", NOW_MS)
    else:
        journal.log.content[entry_key(1)] = b"nonsense"
    again = Journal(journal.log, seal=vault.seal)
    assert (again.wrong is None) == (spoil == "shred")
    emptied = again.empty()
    again.tick_until(lambda: bool(emptied.args))
    assert again.entries() == []


def test_entries_that_open_to_nothing_go_when_they_are_old() -> None:
    journal = Journal(LogDouble({entry_key(1): b"nonsense"}))
    assert journal.wrong is not None
    journal.tick_until(lambda: not journal.entries(), 1000)
    assert Journal(journal.log).wrong is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_emptying_is_answered_with_the_failure_of_the_store(when: str) -> None:
    journal = Journal(limits=NO_LIMITS)
    put_numbered(journal, *range(10))
    journal.settle()
    error = StorageError("disk on fire")
    if when == "before":
        journal.log.fail(error)
    emptied = journal.empty()
    journal.log.fail(error)
    journal.tick_until(lambda: bool(emptied.args))
    assert emptied.errors == [error]


class Files:
    """The engine's files, which are asked for work."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.found: list[tuple[str, int]] = []

    def flush(self, settled: Any) -> None:
        self.found.append(("flush", len(self.journal.entries())))
        settled(None)

    def compact(self, settled: Any) -> None:
        self.found.append(("compact", len(self.journal.entries())))
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
def test_what_is_forgotten_while_it_is_filed_is_neither_seen_nor_filed(ticks: int) -> None:
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
    filed_before = sum(b"default" in key for key in filed(journal))
    seen = [key for key, _ in journal.contents() if b"default" in key]
    assert seen == [key for key, _ in contents(journal.log) if b"default" in key]
    journal.tick_until(lambda: bool(emptied.args))
    assert sum(b"default" in key for key in filed(journal)) == filed_before
    assert sum(b"open" in key for key in filed(journal)) == 200


# Former lives


def record_at(key: bytes, *timestamps: int) -> bytes:
    """A record with siblings, written at these times by as many actors."""
    events = [Event(actor, 1, timestamp) for actor, timestamp in enumerate(timestamps)]
    versions = tuple(Version(dot, 1, b'"%d"' % dot.timestamp) for dot in events)
    return encode(key, Record(tuple(events), versions))


@pytest.fixture
def shredded() -> tuple[LogDouble, FormerLives]:
    """The namespace "default" is a new one since 1000 ms."""
    log = LogDouble()
    lives = FormerLives(log)
    lives.end("default", 1000)
    log.sync()
    return log, lives


def test_what_former_lives_have_left_is_not_stored(shredded: tuple[LogDouble, FormerLives]) -> None:
    log, lives = shredded
    journal = Journal(log, former_lives=lives)
    old, mixed, new = key_of(1), key_of(2), key_of(3)
    open_key = key_of(1, "open")
    journal.put(old, record_at(old, 10, 1000))
    journal.put(mixed, record_at(mixed, 10, 1001))
    journal.put(new, record_at(new, 1001, 2000))
    journal.put(open_key, record_at(open_key, 10))
    kept = Record((Event(0, 1, 10), Event(1, 1, 1001)), (Version(Event(1, 1, 1001), 1, b'"1001"'),))
    wanted = {
        mixed: encode(mixed, kept),
        new: record_at(new, 1001, 2000),
        open_key: record_at(open_key, 10),
    }
    assert dict(journal.contents()) == wanted
    journal.settle()
    assert dict(Journal(log, former_lives=lives).contents()) == wanted
    emptied = journal.empty()
    journal.tick_until(lambda: bool(emptied.args))
    assert dict(contents(log)) == wanted


def test_an_old_record_takes_the_place_of_one_that_is_there_by_deleting_it(
    shredded: tuple[LogDouble, FormerLives],
) -> None:
    log, lives = shredded
    journal = Journal(log, former_lives=lives)
    key = key_of(1)
    journal.put(key, record_at(key, 2000))
    journal.put(key, record_at(key, 10))
    assert journal.store.get(key) is None


def test_what_former_lives_have_left_in_the_log_is_not_taken_up() -> None:
    log = LogDouble()
    journal = Journal(log)
    old, new, hint = key_of(1), key_of(2), HINTS[0]
    journal.put(old, record_at(old, 10))
    journal.put(new, record_at(new, 2000))
    journal.put(hint, b"hint")
    journal.settle()
    lives = FormerLives(log)
    lives.end("default", 1000)
    again = Journal(log, former_lives=FormerLives(log))
    assert again.contents() == [(new, record_at(new, 2000)), (hint, b"hint")]
    emptied = again.empty()
    again.tick_until(lambda: bool(emptied.args))
    assert contents(log) == [(new, record_at(new, 2000)), (hint, b"hint")]


def test_what_was_gathered_when_its_namespace_was_shredded_is_gone_after_a_crash(
    tmp_path: Path,
) -> None:
    """The entry that it goes to is sealed with the new key."""
    log = LogDouble()
    vault = vault_of(tmp_path, log)
    lives = FormerLives(log)
    journal = Journal(log, seal=vault.seal, former_lives=lives)
    key = key_of(1)
    journal.put(key, record_at(key, 10))
    lives.end("default", 1000)
    vault.shred("default", NOW_MS)
    journal.store.forget("default")
    journal.settle()
    again = Journal(log, seal=vault.seal, former_lives=FormerLives(log))
    assert again.contents() == []


# Damage


def damaged(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


def test_a_record_that_fails_its_check_is_refused_and_changes_nothing() -> None:
    journal = Journal()
    journal.put(KEY, value_for(KEY, 1), 1)
    with pytest.raises(CorruptRecord):
        journal.put(KEY, damaged(value_for(KEY, 2)), 2)
    with pytest.raises(CorruptRecord):
        journal.put(KEY, value_for(RECORDS[1], 2), 3)
    assert journal.store.get(KEY) == value_for(KEY, 1)
    journal.settle()
    assert journal.answers.args == [1]
    assert journal.store.failed is None
    assert Journal(journal.log).contents() == [(KEY, value_for(KEY, 1))]


class Flipping(SealedStore):
    """A sealed store that is given what a bit has flipped in since it was put."""

    flip: bytes = b""

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        super().put(key, damaged(value) if key == self.flip else value, done, arg)


@pytest.fixture
def seal(vault_directory: Path) -> Seal:
    return seal_of(vault_directory)


def flipping(seal: Seal, limits: SegmentLimits) -> tuple[Journal, Flipping]:
    log = LogDouble()
    below = Flipping(log, seal, not_damaged, rows())
    return Journal(log, limits=limits, seal=seal, below=below), below


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
    assert Journal(journal.log, seal=seal).contents() == numbered(*acknowledged)
    assert len(journal.failures) == 1


def test_damage_found_while_filing_beside_new_writes_fails_the_store(seal: Seal) -> None:
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
    assert Journal(journal.log, seal=seal).contents() == numbered(*range(number), size=100)


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


class Raising(LogDouble):
    """A store below that has a bug."""

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        raise RuntimeError("a bug")


def test_an_error_while_filing_hides_nothing_and_deletes_no_entry() -> None:
    log = LogDouble()
    journal = Journal(log, limits=NO_LIMITS, below=Raising())
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
    assert Journal(log).contents() == numbered(*range(11))


# Replay


def test_a_new_life_goes_on_with_the_numbers_of_the_last_one() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(5):
        put_numbered(journal, number)
        journal.settle()
    again = Journal(journal.log, limits=NO_LIMITS)
    assert again.wrong is None
    put_numbered(again, 5)
    again.settle()
    assert again.entries() == [entry_key(number) for number in range(1, 7)]
    assert again.contents() == numbered(*range(6))


def test_an_entry_that_does_not_open_is_told_and_the_rest_is_taken_up(seal: Seal) -> None:
    journal = Journal(limits=NO_LIMITS, seal=seal)
    for number in range(200):
        put_numbered(journal, number)
        journal.settle()
    spoilt = dict(journal.log.content)
    spoilt[entry_key(100)] = damaged(spoilt[entry_key(100)])
    again = Journal(LogDouble(spoilt), limits=NO_LIMITS, seal=seal)
    assert again.wrong is not None
    assert "an entry of the journal that opens" in again.wrong
    rest = [number for number in range(200) if number != 99]
    assert again.contents() == numbered(*rest)
    emptied = again.empty()
    again.tick_until(lambda: bool(emptied.args))
    assert again.entries() == []
    last = Journal(again.log, seal=seal)
    assert last.wrong is None, "it is told until the entry is gone"
    assert last.contents() == numbered(*rest)


@pytest.mark.parametrize("missing", [{2}, {100, 101, 102}, {63, 64, 65}])
def test_entries_that_are_missing_are_told_and_the_rest_is_taken_up(missing: set[int]) -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(200):
        put_numbered(journal, number)
        journal.settle()
    for number in missing:
        del journal.log.content[entry_key(number)]
    again = Journal(LogDouble(journal.log.content), limits=NO_LIMITS)
    assert again.wrong == f"entries {min(missing)} to {max(missing)} are missing"
    rest = [number for number in range(200) if number + 1 not in missing]
    assert again.contents() == numbered(*rest)
    put_numbered(again, 500)
    again.settle()
    assert again.entries()[-1] == entry_key(201)
    emptied = again.empty()
    again.tick_until(lambda: bool(emptied.args))
    assert again.entries() == []
    assert contents(again.log) == numbered(*rest, 500)


def test_entries_that_were_filed_are_not_missed() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(5):
        put_numbered(journal, number)
        journal.settle()
    for number in (1, 2):
        del journal.log.content[entry_key(number)]
    again = Journal(journal.log, limits=NO_LIMITS)
    assert again.wrong is None
    assert again.contents() == numbered(2, 3, 4)


def test_what_was_taken_up_is_filed_where_no_writes_come() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(10):
        put_numbered(journal, number)
        journal.settle()
    left = {key: value for key, value in journal.log.content.items() if key > entry_key(4)}
    again = Journal(LogDouble(left), limits=SegmentLimits(1 << 40, 1 << 40, age_s=1.0))
    again.tick_until(lambda: not again.entries())
    deletions = [(entry_key(number), None) for number in range(5, 11)]
    assert again.log.writes == [*numbered(*range(4, 10)), *deletions]


def test_a_segment_that_was_taken_up_full_is_closed_with_the_first_write() -> None:
    journal = Journal(limits=NO_LIMITS)
    for number in range(100):
        put_numbered(journal, number, size=100)
        journal.settle()
    again = Journal(journal.log, limits=BY_ENTRIES)
    number = 100
    while len(again.entries()) > 20:
        put_numbered(again, number, size=100)
        again.settle()
        number += 1
    assert again.contents() == numbered(*range(number), size=100)
    assert number < 250


def test_open_entries_may_be_replayed_twice() -> None:
    """Over what was filed of them: an entry says what to put, never what to add."""
    log = LogDouble()
    entries = OpenEntries()
    key = key_of(1)
    log.content[key] = value_for(key, 2)
    log.content[entry_key(4)] = entries.seal(entry_key(4), [(key, value_for(key, 1))])
    log.content[entry_key(5)] = entries.seal(entry_key(5), [(key, value_for(key, 2))])
    assert Journal(log).contents() == [(key, value_for(key, 2))]
