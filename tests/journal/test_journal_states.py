"""A journaled store is an ordered map, whatever is gathered, flushed or replayed meanwhile."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from journal_client import Client
from kit.journal_disks import Disk
from kit.journals import HINTS, MARKS, RECORDS, Journal, contents, seal_of, value_for

from kvorum.journal.segment import SegmentLimits
from kvorum.sealing.seal import Seal

LIMITS = (
    SegmentLimits(memory_bytes=2500, entry_bytes=1 << 20, age_s=0.2),
    SegmentLimits(memory_bytes=1 << 20, entry_bytes=800),
)

FEW_RECORDS, FEW_HINTS = RECORDS[1::3], HINTS[::4]
keys = st.sampled_from(FEW_RECORDS + FEW_HINTS + MARKS)
inner = st.sampled_from(FEW_RECORDS + FEW_HINTS + MARKS[:2]).flatmap(
    lambda key: st.sampled_from([key, key + b"\0", key[:9], key[:2], key[:-1]])
)


class JournalMachine(RuleBasedStateMachine):
    seal: Seal | None = None

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    @initialize(limits=st.sampled_from(LIMITS))
    def begin(self, limits: SegmentLimits) -> None:
        self.limits = limits
        self.live(Disk())

    def live(self, disk: Disk) -> None:
        self.journal = Journal(disk, seal=self.seal, limits=self.limits)
        assert self.journal.wrong is None
        self.client = Client(self.journal, dict(self.journal.contents()))

    @rule(keys=st.lists(keys, min_size=1, max_size=6))
    def put(self, keys: list[bytes]) -> None:
        for key in keys:
            self.number += 1
            self.client.write(key, value_for(key, self.number, self.number % 50))

    @rule(keys=st.lists(keys, min_size=1, max_size=3))
    def delete(self, keys: list[bytes]) -> None:
        for key in keys:
            self.client.write(key, None)

    @rule()
    def turn(self) -> None:
        self.journal.pump.turn()

    @rule()
    def settle(self) -> None:
        written = len(self.client.states) - 1
        self.journal.tick_until(lambda: len(self.client.acknowledged) == written)

    @rule(count=st.integers(1, 5))
    def sync_log(self, count: int) -> None:
        self.journal.log.persist(count)

    @rule(count=st.integers(1, 2))
    def sync_below(self, count: int) -> None:
        self.journal.below.persist(count)

    @rule(times=st.integers(1, 4))
    def tick(self, times: int) -> None:
        for _ in range(times):
            self.journal.tick()

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        self.journal.below.full = full

    @rule()
    def empty(self) -> None:
        self.journal.below.full = False
        self.journal.empty_all()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        disk = self.journal.disk
        cut = data.draw(st.sampled_from(disk.cuts_now()))
        may_find = self.client.may_find(disk.now)
        self.live(disk.left(cut))
        assert self.client.seen in may_find

    @rule(start=inner, end=inner, limit=st.integers(0, 7))
    def scan(self, start: bytes, end: bytes, limit: int) -> None:
        """Of one kind, as replication scans them."""
        if start[:1] != end[:1]:
            end = bytes([start[0] + 1])
        seen = sorted(pair for pair in self.client.seen.items() if start <= pair[0] < end)
        assert self.journal.store.scan(start, end, limit) == seen[:limit]

    @rule(key=keys)
    def get(self, key: bytes) -> None:
        assert self.journal.store.get(key) == self.client.seen.get(key)

    @invariant()
    def shows_what_was_written(self) -> None:
        if not hasattr(self, "journal"):
            return
        self.number += 1
        for kind in (b"d", b"h", b"m", b"r"):
            found = self.walk(kind, 1 + self.number % 3)
            assert found == sorted(p for p in self.client.seen.items() if p[0][:1] == kind)

    def walk(self, kind: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """All pairs of one kind, by pages of at most `limit`."""
        found: list[tuple[bytes, bytes]] = []
        start, end = kind, bytes([kind[0] + 1])
        while page := self.journal.store.scan(start, end, limit):
            assert len(page) <= limit
            found += page
            start = page[-1][0] + b"\0"
        return found

    def teardown(self) -> None:
        if not hasattr(self, "journal"):
            return
        self.empty()
        below = Journal(Disk([], self.journal.below.content), seal=self.seal).store
        assert dict(contents(below)) == self.client.seen


def run(machine: type[JournalMachine], examples: int) -> None:
    run_state_machine_as_test(
        machine, settings=settings(max_examples=examples, stateful_step_count=40, deadline=None)
    )


def test_it_is_an_ordered_map() -> None:
    run(JournalMachine, 80)


def test_it_is_an_ordered_map_over_a_sealed_store(vault_directory: Path) -> None:
    class SealedMachine(JournalMachine):
        seal = seal_of(vault_directory)

    run(SealedMachine, 40)
