"""The two things that a journaled store writes to, for tests that crash between any two writes.

    log     entries and marks     | durable | any prefix of these survives |
    below   what is flushed         | durable | any prefix of these survives |
            ^ each is cut for itself

A test says when something becomes durable. `Disk.moments` is their common history: how much each
of the two had been given, and how much of that was durable, after each change. From it follows
what a crash can leave, and how far the client had been answered when it did.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

from kvorum.model.errors import StorageError
from kvorum.storage.store import Done, KeyRange

EVERYTHING: Final = 1 << 30

Noted = Callable[[], None]


class Moment(NamedTuple):
    appended: int
    logged: int
    """So much of what was appended is durable."""
    written: int
    flushed: int
    """So much of what was written below is durable."""


class Cut(NamedTuple):
    """What a crash leaves of what was appended, and of what was written below."""

    appended: int
    written: int


class Appended(NamedTuple):
    number: int
    text: bytes
    """Empty for a mark."""
    needed: int


class LogDouble:
    """The Log port."""

    def __init__(self, before: list[Appended], noted: Noted) -> None:
        """`before`: what is left of an earlier life, the newest last."""
        self._before = before
        self._noted = noted
        self.appended: list[Appended] = []
        self.durable = 0
        self.last = before[-1].number if before else 0
        self.needed = before[-1].needed if before else 1
        """As it was last said, durable or not."""
        self.failed: StorageError | None = None
        self.released: list[int] = []
        """What it was told to let go of, in that order."""
        self.traces = {entry.number for entry in before if entry.text}
        """Entries whose bytes are still on the disk."""
        self._needed_durably = self.needed
        self._parted = 0
        self._waiting: deque[tuple[Done, Any]] = deque()

    # The port

    def append(self, entry: bytes, done: Done, arg: Any) -> int:
        assert entry, "an entry without text is a mark"
        self._append(entry, done, arg)
        self.traces.add(self.last)
        return self.last

    def release(self, number: int, done: Done, arg: Any) -> None:
        assert number <= self.last, "what is still to come was let go of"
        self.released.append(number)
        self.needed = max(self.needed, number + 1)
        self._append(b"", done, arg)

    def part(self) -> None:
        self._parted = self.last
        self._remove_parted()

    def entries(self) -> Iterator[tuple[int, bytes]]:
        assert not self.appended, "asked for too late"
        return ((entry.number, entry.text) for entry in self._needed_of(self._before))

    # The test's

    @property
    def numbers(self) -> list[int]:
        """Of the entries that are needed, durable or not."""
        return [entry.number for entry in self._needed_of(self.left(EVERYTHING))]

    def persist(self, count: int = EVERYTHING) -> None:
        """Make the oldest `count` durable of those that are not yet."""
        for _ in range(min(count, len(self._waiting))):
            done, arg = self._waiting.popleft()
            if self.failed is None:
                self._needed_durably = self.appended[self.durable].needed
                self.durable += 1
                self._remove_parted()
                self._noted()
            done(arg, self.failed)

    def fail(self, error: StorageError) -> None:
        """What is not durable will never be."""
        self.failed = error
        self.persist()

    def left(self, appended: int) -> list[Appended]:
        """What a crash leaves that so much of what was appended survives."""
        return [*self._before, *self.appended[:appended]]

    def _append(self, text: bytes, done: Done, arg: Any) -> None:
        self.last += 1
        self._waiting.append((done, arg))
        if self.failed is None:
            self.appended.append(Appended(self.last, text, self.needed))
            self._noted()

    def _needed_of(self, left: list[Appended]) -> list[Appended]:
        needed = left[-1].needed if left else 1
        return [entry for entry in left if entry.text and entry.number >= needed]

    def _remove_parted(self) -> None:
        end = min(self._needed_durably, self._parted + 1)
        self.traces = {number for number in self.traces if number >= end}


class StoreDouble:
    """The FlushTarget port, in memory."""

    def __init__(
        self, before: Mapping[bytes, bytes] | None = None, noted: Noted = lambda: None
    ) -> None:
        self._before = dict(before or {})
        self._noted = noted
        self.content = dict(self._before)
        self.writes: list[tuple[bytes, bytes | None]] = []
        self.durable = 0
        self.failed: StorageError | None = None
        self.full = False
        self.pressed = False
        self._waiting: deque[tuple[int, Done, Any]] = deque()
        """With each, how many of the writes it waits for."""

    # The port

    def get(self, key: bytes) -> bytes | None:
        return self.content.get(key)

    def find(self, key: bytes, _then: Callable[[Any], object], _arg: Any) -> bytes | None:
        return self.get(key)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return sorted(pair for pair in self.content.items() if start <= pair[0] < end)[:limit]

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        return []

    def write(self, key: bytes, value: bytes | None) -> None:
        if self.failed is not None:
            return
        _change(self.content, key, value)
        self.writes.append((key, value))
        self._noted()

    def sync(self, done: Done, arg: Any) -> None:
        self._waiting.append((len(self.writes), done, arg))

    # The test's

    def persist(self, count: int = EVERYTHING) -> None:
        """Make durable what the oldest `count` wait for, and with it all that was written before.
        What nobody waits for stays as it is.
        """
        for _ in range(min(count, len(self._waiting))):
            durable, done, arg = self._waiting.popleft()
            if self.failed is None:
                self.durable = durable
                self._noted()
            done(arg, self.failed)

    def fail(self, error: StorageError) -> None:
        """What is not durable will never be, and is not seen any more."""
        self.failed = error
        self.content = self.left(self.durable)
        self.persist()

    def left(self, written: int) -> dict[bytes, bytes]:
        """What a crash leaves that so many of the writes survive."""
        left = dict(self._before)
        for key, value in self.writes[:written]:
            _change(left, key, value)
        return left


class Disk:
    """Both of them, and what becomes of them in a crash."""

    def __init__(
        self, entries: list[Appended] | None = None, content: Mapping[bytes, bytes] | None = None
    ) -> None:
        self.log = LogDouble(entries or [], self._note)
        self.below = StoreDouble(content, self._note)
        self.moments = [Moment(0, 0, 0, 0)]

    @property
    def now(self) -> int:
        """The number of the newest moment."""
        return len(self.moments) - 1

    def left(self, cut: Cut | None = None) -> Disk:
        """The disk of the next life. Without a `cut` nothing was lost."""
        cut = cut or Cut(EVERYTHING, EVERYTHING)
        return Disk(self.log.left(cut.appended), self.below.left(cut.written))

    def cuts(self) -> dict[Cut, int]:
        """All that a crash can leave, and the newest moment at which it can. What was
        acknowledged by then has to be there.
        """
        found: dict[Cut, int] = {}
        for number, moment in enumerate(self.moments):
            for appended in range(moment.logged, moment.appended + 1):
                for written in range(moment.flushed, moment.written + 1):
                    found[Cut(appended, written)] = number
        return found

    def cuts_now(self) -> list[Cut]:
        moment = self.moments[-1]
        return [
            Cut(appended, written)
            for appended in range(moment.logged, moment.appended + 1)
            for written in range(moment.flushed, moment.written + 1)
        ]

    def _note(self) -> None:
        log, below = self.log, self.below
        self.moments.append(
            Moment(len(log.appended), log.durable, len(below.writes), below.durable)
        )


def _change(content: dict[bytes, bytes], key: bytes, value: bytes | None) -> None:
    if value is None:
        content.pop(key, None)
    else:
        content[key] = value
