"""JournaledStore: the Store port with a journal and a memtable in front of another store.

    put ──> memtable, gathering ──> commit: one entry, sealed whole ──> log ──> done callbacks
            (visible at once)       |                                           in the order
                                    '─> some keys of the last segment           of the puts
                                        to the store below, sealed one by one

To compress, seal and file a record is dear, and a record that is replaced soon need never be
filed. All that a write has to wait for is that it is durable, and for that the writes of a
commit are sealed as one. This is the log and the memtable of an LSM tree (P. O'Neil et al.,
1996), one floor above the engine's own, which see sealed records only. The log is the engine's:
an entry of the journal is a pair below the seal.

Records and hints pass through here. The few other notes are stored directly, behind an entry of
what was written before them: so there is one log, and it has all writes in their order.

The first write that finds no commit under way begins one when the loop has run the callbacks of
this turn. What comes while one is under way shares the next. A commit costs the processor
about as much as a dozen writes: a thread woken, a system call, the file system's journal. So
where writes come in crowds (`CROWD` of them during one commit) the next waits for `gather_s`
longer; the wait is one that the writes would otherwise spend queueing for the processor. While
each record was sealed by itself this raised puts by a quarter to a third, on two cores that bear
three nodes and their clients; since then 0 to 1 ms make no difference that can be seen there.

While the disk is full nothing is filed: it would take room, and free none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kvorum.journal.entries import END, START, Entries, entry_key, number_of
from kvorum.journal.memtable import Change
from kvorum.journal.segment import Filing, Segment, SegmentLimits
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.record import is_sound
from kvorum.runtime.ports import Cancellable, Runtime
from kvorum.sealing.former_life import FormerLives
from kvorum.sealing.seal import NOTE, RECORD, namespace_of
from kvorum.storage.answering import answer
from kvorum.storage.store import Done, Store

CROWD: Final = 8
BATCH_BYTES_MAX: Final = 1 << 20

_TICK_S: Final = 0.05
_TICK_STEPS: Final = 128
_PAGE: Final = 64


class _Batch:
    """Writes that share an entry."""

    __slots__ = ("changes", "size_bytes", "waiting")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.waiting: list[tuple[Done, Any]] = []
        self.size_bytes = 0


class JournaledStore:
    """Its keys and values are plain."""

    __slots__ = (
        "_active",
        "_batch",
        "_below",
        "_closed",
        "_emptying",
        "_entries",
        "_filing",
        "_former_lives",
        "_gather_s",
        "_limits",
        "_log",
        "_on_failed",
        "_refusal",
        "_runtime",
        "_shredded_since",
        "_ticking",
        "_under_way",
    )

    def __init__(
        self,
        below: Store,
        log: Store,
        entries: Entries,
        runtime: Runtime,
        limits: SegmentLimits,
        on_failed: Callable[[StorageError], object],
        gather_s: float = 0.0,
        former_lives: FormerLives | None = None,
    ) -> None:
        """`log` is the store that `below` writes to. `on_failed`: what is in memory turned out to
        be damaged. What `former_lives` says was shredded is not stored.

        `replay` comes before anything else.
        """
        self._below = below
        self._log = log
        self._entries = entries
        self._runtime = runtime
        self._limits = limits
        self._gather_s = gather_s
        self._former_lives = former_lives
        # Looked at with each write, and hardly ever anything but empty.
        self._shredded_since = {} if former_lives is None else former_lives.since_ms
        self._on_failed = on_failed

        self._active = Segment(1)
        self._filing: Filing | None = None
        self._batch = _Batch()
        self._under_way = 0
        self._ticking: Cancellable | None = None
        self._emptying: list[tuple[int, Done, Any]] = []
        self._refusal: StorageError | None = None
        self._closed = False

    def replay(self) -> str | None:
        """Take up what earlier lives have left in the log. Returns what is wrong with it, if
        anything: then writes that were acknowledged may be missing.
        """
        wrong: str | None = None
        last: int | None = None
        cursor = START
        while page := self._log.scan(cursor, END, _PAGE):
            for key, entry in page:
                number = number_of(key)
                if last is None:
                    self._active = Segment(number)
                elif number != last + 1:
                    wrong = f"entries {last + 1} to {number - 1} are missing"
                last = number
                try:
                    changes = self._entries.open(key, entry)
                except CorruptRecord as error:
                    wrong, changes = error.message, []
                self._take_up(number, len(entry), changes)
            cursor = page[-1][0] + b"\0"
        if last is not None:
            self._keep_ticking()
        return wrong

    # The Store port

    @property
    def failed(self) -> StorageError | None:
        return self._refusal or self._log.failed

    @property
    def full(self) -> bool:
        return self._log.full

    @property
    def pressed(self) -> bool:
        return self._log.pressed

    def get(self, key: bytes) -> bytes | None:
        changes = self._active.memtable.changes
        if key in changes:
            return changes[key]
        if self._filing is not None:
            changes = self._filing.segment.memtable.changes
            if key in changes:
                return changes[key]
        return self._below.get(key)

    def warm(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bool:
        if key in self._active.memtable.changes or self.is_unfiled(key):
            return True
        return self._below.warm(key, then, arg)

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        kind = key[0]
        if kind == RECORD:
            if not is_sound(key, value):
                raise CorruptRecord("wanted a sound record to store, got one that fails its check")
            if self._shredded_since:
                value = self._without_former_lives(key, value)
            self._gather(key, value or None, done, arg)
        elif kind == NOTE:
            self._gather(key, value, done, arg)
        elif self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
        else:
            self._commit()
            self._below.put(key, value, done, arg)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        if key[0] == RECORD or key[0] == NOTE:
            self._gather(key, None, done, arg)
        elif self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
        else:
            self._commit()
            self._below.delete(key, done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        pairs: list[tuple[bytes, bytes]] = []
        while start < end and len(pairs) < limit:
            found, start = self._scan_page(start, end, limit - len(pairs))
            pairs += found
        return pairs[:limit]

    # Its owner's

    def is_unfiled(self, key: bytes) -> bool:
        """True if the journal says what `key` is, whatever the store below says of it."""
        return key in self._active.memtable.changes or (
            self._filing is not None and key in self._filing.segment.memtable.changes
        )

    @property
    def overflows(self) -> bool:
        """True if it holds more than two segments should."""
        return sum(segment.fullness(self._limits) for segment in self._segments()) > 2

    def forget(self, namespace: str) -> None:
        """All that was written to `namespace` up to now was shredded."""
        name = namespace.encode()
        for segment in self._segments():
            segment.memtable = segment.memtable.without(name)
        # Its entry would be sealed with the namespace's next key.
        batch = self._batch
        batch.changes = [write for write in batch.changes if namespace_of(write[0]) != name]

    def empty(self, done: Done, arg: Any) -> None:
        """Have all filed that has been written up to now; `done(arg, error)` once that is durable
        and no entry is left of it.
        """
        self._commit()
        self._emptying.append((self._active.last, done, arg))
        self._settle()
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._keep_ticking()

    def close(self) -> None:
        """Hand over to the log what has been gathered. Nothing is filed any more."""
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        self._commit()

    # Commits

    def _gather(self, key: bytes, value: bytes | None, done: Done, arg: Any) -> None:
        if self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
            return
        batch = self._batch
        if not batch.waiting:
            if not self._under_way:
                self._runtime.call_soon(self._commit)
        elif batch.size_bytes >= BATCH_BYTES_MAX:
            self._commit()
            batch = self._batch
        batch.changes.append((key, value))
        batch.waiting.append((done, arg))
        batch.size_bytes += len(key) if value is None else len(key) + len(value)
        self._active.memtable.put(key, value)

    def _commit(self) -> None:
        """Put what has been gathered into the log, as one entry."""
        batch = self._batch
        if not batch.waiting:
            return
        self._batch = _Batch()
        segment = self._active
        key = entry_key(segment.last + 1)
        entry = self._entries.seal(key, batch.changes)
        segment.add(len(entry), self._runtime.now())
        self._under_way += 1
        self._log.put(key, entry, self._durable, batch)
        self._file_beside()
        self._keep_ticking()

    def _durable(self, batch: _Batch, error: StorageError | None) -> None:
        self._under_way -= 1
        if not self._under_way:
            if self._gather_s and len(self._batch.waiting) >= CROWD and not self._closed:
                self._runtime.call_later(self._gather_s, self._commit)
            else:
                self._commit()  # first, so that the disk works while the callbacks run
        answer(self._runtime, iter(batch.waiting), error)

    def _without_former_lives(self, key: bytes, value: bytes) -> bytes:
        assert self._former_lives is not None
        return self._former_lives.without(key, value)

    # Filing

    def _file_beside(self) -> None:
        """Go on with filing, as far as the new writes ask for."""
        fullness = self._active.fullness(self._limits)
        if self._filing is not None:
            self._file(self._filing.due(fullness))
        if self._filing is None and fullness >= 1:
            self._close_segment()

    def _keep_ticking(self) -> None:
        if self._ticking is None and not self._closed:
            hurry = self._emptying and not self._log.full
            self._ticking = self._runtime.call_later(0.0 if hurry else _TICK_S, self._tick)

    def _tick(self) -> None:
        """Go on with filing where no new writes come; and with what is due for it."""
        self._ticking = None
        if self._closed:
            return
        if self.failed is not None:
            self._emptying_failed()
            return
        self._file(_TICK_STEPS)
        if self._filing is None and self._is_due():
            self._commit()
            if self._filing is None:  # else it was full with that
                self._close_segment()
        if self._filing is not None or not self._active.is_empty:
            self._keep_ticking()

    def _is_due(self) -> bool:
        segment = self._active
        if segment.is_empty:
            return False
        old = self._runtime.now() - segment.since >= self._limits.age_s
        return old or bool(self._emptying) or segment.fullness(self._limits) >= 1

    def _close_segment(self) -> None:
        """Nothing is being filed, and nothing gathered."""
        closed = self._active
        self._active = Segment(closed.last + 1)
        self._filing = Filing(closed, self._below, self._log)

    def _file(self, steps: int) -> None:
        filing = self._filing
        if filing is None or self._closed or self._log.full:
            return
        try:
            filing.advance(steps)
        except CorruptRecord as error:
            self._fail(error)
            return
        if filing.done:
            self._filing = None
            self._settle()

    def _settle(self) -> None:
        """Answer those whose entries are gone."""
        oldest = self._active.first if self._filing is None else self._filing.segment.first
        while self._emptying and self._emptying[0][0] < oldest:
            _, done, arg = self._emptying.pop(0)
            # There is no such entry; but this is behind all that has been filed and deleted.
            self._log.delete(entry_key(0), done, arg)

    def _emptying_failed(self) -> None:
        waiting, self._emptying = self._emptying, []
        answer(self._runtime, ((done, arg) for _, done, arg in waiting), self.failed)

    def _fail(self, error: CorruptRecord) -> None:
        self._refusal = StorageError(
            f"a record was damaged in this node's memory ({error.message}); the store takes no "
            "more writes: restart the node, whose disk has it whole, and check its memory",
            outcome="unknown",
        )
        self._runtime.call_soon(self._on_failed, self._refusal)

    # Reading

    def _segments(self) -> list[Segment]:
        """Oldest first."""
        return [self._active] if self._filing is None else [self._filing.segment, self._active]

    def _scan_page(
        self, start: bytes, end: bytes, wanted: int
    ) -> tuple[list[tuple[bytes, bytes]], bytes]:
        """Pairs from `start` on, and the bound up to which these are all; one step of a merge."""
        pairs = self._below.scan(start, end, wanted)
        if len(pairs) == wanted:
            end = pairs[-1][0] + b"\0"
        merged: dict[bytes, bytes | None] = dict(pairs)
        for segment in self._segments():
            changes = segment.memtable.page(start, end, wanted)
            if len(changes) == wanted:
                end = changes[-1][0] + b"\0"
            merged.update(changes)
        found = sorted(key for key in merged if key < end)
        return [(key, value) for key in found if (value := merged[key]) is not None], end

    def _take_up(self, number: int, entry_bytes: int, changes: list[Change]) -> None:
        segment = self._active
        for key, value in changes:
            if value is not None and self._shredded_since and key[0] == RECORD:
                value = self._without_former_lives(key, value) or None
            segment.memtable.put(key, value)
        segment.add(entry_bytes, self._runtime.now())
        segment.last = number
