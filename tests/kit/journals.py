"""Journaled stores that a test turns by hand, over a log and a store that it syncs and cuts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from kit.journal_disks import Disk, StoreDouble
from kit.runtime import Answers, Pump
from kit.vaults import not_damaged, note_key, record_key, record_of, rows, vault_of
from kvorum.journal.entries import Entries, OpenEntries, SealedEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.sealing.seal import Seal
from kvorum.sealing.sealed_store import SealedStore
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.storage.store import FlushTarget, ReadableStore

CLUSTER: Final = "test"

NO_LIMITS: Final = SegmentLimits(1 << 40, 1 << 40, 1e9)
TINY: Final = SegmentLimits(memory_bytes=2500, entry_bytes=1000)
"""A segment is closed after half a dozen writes."""

TOKENS: Final = (0, 1, 1 << 56, (1 << 64) - 1)
RECORDS: Final = tuple(
    record_key(token, namespace, name)
    for token in TOKENS
    for namespace in ("default", "open", "plain")
    for name in (b"a", b"a\0b")
)
HINTS: Final = tuple(note_key(node, key) for node in ("n1", "n10") for key in RECORDS[:6])
MARKS: Final = (b"mn1", b"mn2", b"r")
"""Notes that name no record."""

Pairs = list[tuple[bytes, bytes]]


def value_for(key: bytes, number: int, size: int = 8) -> bytes:
    """A value that `key` may have; each `number` makes another one."""
    text = b"%d" % number
    return record_of(key, text.ljust(size), number + 1) if key[:1] == b"d" else text.ljust(16)


def contents(store: ReadableStore) -> Pairs:
    """All that a client can see."""
    ranges = ((b"d", b"e"), (b"h", b"i"), (b"m", b"n"), (b"r", b"s"))
    return [pair for start, end in ranges for pair in store.scan(start, end, 10_000)]


class Journal:
    """One life of a journaled store."""

    def __init__(
        self,
        disk: Disk | None = None,
        *,
        limits: SegmentLimits = TINY,
        seal: Seal | None = None,
        below: FlushTarget | None = None,
        shred_horizon: ShredHorizon | None = None,
    ) -> None:
        """Without a `seal` all lies open. `below`: what stands on the disk's store, if not just a
        sealed store.
        """
        self.pump = Pump()
        self.answers = Answers()
        self.failures: list[StorageError] = []
        self.disk = disk or Disk()
        self.log = self.disk.log
        self.below = self.disk.below
        entries: Entries = OpenEntries()
        if seal is not None:
            entries = SealedEntries(seal, CLUSTER)
            below = below or SealedStore(self.below, seal, not_damaged, rows())
        self.store = JournaledStore(
            below or self.below,
            self.log,
            entries,
            self.pump,
            limits,
            self.failures.append,
            shred_horizon,
        )
        self.wrong = self.store.replay()

    def put(self, key: bytes, value: bytes, arg: object = None) -> None:
        self.store.put(key, value, self.answers.done, arg)

    def delete(self, key: bytes, arg: object = None) -> None:
        self.store.delete(key, self.answers.done, arg)

    def empty(self, arg: object = None) -> Answers:
        answers = Answers()
        self.store.empty(answers.done, arg)
        return answers

    def settle(self) -> None:
        """Until all that somebody waits for is durable. No timer goes off."""
        while True:
            self.pump.drain()
            before = self.disk.now
            self.log.persist()
            self.below.persist()
            if self.disk.now == before and not self.pump.turn():
                return

    def tick(self) -> bool:
        """Have all timers go off; False if there were none."""
        due = [timer for timer in self.pump.timers if not timer.cancelled]
        self.pump.timers.clear()
        self.pump.time += max((timer.delay_s for timer in due), default=0.0)
        for timer in due:
            if not timer.cancelled:
                timer.go_off()
        return bool(due)

    def tick_until(self, condition: Callable[[], bool], most: int = 100) -> None:
        for _ in range(most):
            if condition():
                return
            self.tick()
            self.settle()
        raise AssertionError(f"still not so after {most} ticks")

    def empty_all(self) -> None:
        """Have all flushed, and see that nothing is left of the journal."""
        emptied = self.empty()
        self.tick_until(lambda: bool(emptied.args))
        assert emptied.errors == [None]
        assert self.log.numbers == []
        assert self.log.traces == set()

    @property
    def numbers(self) -> list[int]:
        """Of the entries that are needed."""
        return self.log.numbers

    def contents(self) -> Pairs:
        return contents(self.store)


def seal_of(directory: Path) -> Seal:
    return vault_of(directory, StoreDouble()).seal
