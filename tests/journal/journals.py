"""Journaled stores that a test turns by hand, over a log that it syncs, reads and cuts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from pump import Answers, Pump
from vaults import not_damaged, note_key, record_key, record_of, rows, vault_of

from kvorum.journal.entries import END, START, Entries, OpenEntries, SealedEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.sealing.former_life import FormerLives
from kvorum.sealing.seal import Seal
from kvorum.sealing.sealed_store import SealedStore
from kvorum.storage.store import Done, Store

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
"""Notes that the journal does not take."""

Pairs = list[tuple[bytes, bytes]]


def value_for(key: bytes, number: int, size: int = 8) -> bytes:
    """A value that `key` may have; each `number` makes another one."""
    text = b"%d" % number
    return record_of(key, text.ljust(size), number + 1) if key[:1] == b"d" else text.ljust(16)


def contents(store: Store) -> Pairs:
    """All that a client can see."""
    ranges = ((b"d", b"e"), (b"h", b"i"), (b"m", b"n"), (b"r", b"s"))
    return [pair for start, end in ranges for pair in store.scan(start, end, 10_000)]


def entries_in(log: Store) -> list[bytes]:
    """The keys of the journal's entries."""
    return [key for key, _ in log.scan(START, END, 1 << 20)]


class LogDouble:
    """A store in memory. What it is given is durable when the test says so, in its order."""

    def __init__(self, content: Mapping[bytes, bytes] | None = None) -> None:
        self.before = dict(content or {})
        self.content = dict(self.before)
        self.writes: list[tuple[bytes, bytes | None]] = []
        self.durable = 0
        """So many of the writes are, and their callbacks have begun."""
        self.failed: StorageError | None = None
        self.full = False
        self.pressed = False
        self._waiting: deque[tuple[Done, Any]] = deque()

    def get(self, key: bytes) -> bytes | None:
        return self.content.get(key)

    def warm(self, _key: bytes, _then: Callable[[Any], object], _arg: Any) -> bool:
        return True

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        self.content[key] = value
        self._write(key, value, done, arg)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self.content.pop(key, None)
        self._write(key, None, done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> Pairs:
        return sorted(pair for pair in self.content.items() if start <= pair[0] < end)[:limit]

    def sync(self, count: int = 1 << 30) -> None:
        """Make the oldest `count` of those writes durable that are not yet."""
        for _ in range(min(count, len(self._waiting))):
            done, arg = self._waiting.popleft()
            self.durable += 1
            done(arg, None)

    def fail(self, error: StorageError) -> None:
        """What is not durable will never be."""
        self.failed = error
        while self._waiting:
            done, arg = self._waiting.popleft()
            done(arg, error)

    def cut(self, survivors: int) -> dict[bytes, bytes]:
        """What a crash leaves that so many of the writes survive."""
        left = dict(self.before)
        for key, value in self.writes[:survivors]:
            if value is None:
                left.pop(key, None)
            else:
                left[key] = value
        return left

    def _write(self, key: bytes, value: bytes | None, done: Done, arg: Any) -> None:
        self.writes.append((key, value))
        self._waiting.append((done, arg))


class Journal:
    """One life of a journaled store."""

    def __init__(
        self,
        log: LogDouble | None = None,
        *,
        limits: SegmentLimits = TINY,
        gather_s: float = 0.0,
        seal: Seal | None = None,
        below: Store | None = None,
        former_lives: FormerLives | None = None,
    ) -> None:
        """Without a `seal` all lies open. `below`: the log, or a sealed store on it."""
        self.pump = Pump()
        self.answers = Answers()
        self.failures: list[StorageError] = []
        self.log = log or LogDouble()
        entries: Entries = OpenEntries()
        if seal is not None:
            entries = SealedEntries(seal, CLUSTER)
            below = below or SealedStore(self.log, seal, not_damaged, rows())
        self.store = JournaledStore(
            below or self.log,
            self.log,
            entries,
            self.pump,
            limits,
            self.failures.append,
            gather_s,
            former_lives,
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
        """Until all that was written is durable. No timer goes off."""
        while True:
            self.pump.drain()
            before = self.log.durable
            self.log.sync()
            if self.log.durable == before and not self.pump.turn():
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

    def entries(self) -> list[bytes]:
        return entries_in(self.log)

    def contents(self) -> Pairs:
        return contents(self.store)


def seal_of(directory: Path) -> Seal:
    return vault_of(directory, LogDouble()).seal
