"""JournaledStore: the Store port with a journal and a memtable in front of another store.

    put ──> memtable, gathering ──> commit: one entry, sealed whole ──> log ──> done callbacks
            (visible at once)       |                                           in the order
                                    '─> some keys of the last segment           of the puts
                                        to the store below, sealed one by one

To compress, seal and flush a record is dear, and a record that is replaced soon need never be
flushed. All that a write has to wait for is that it is durable, and for that the writes of a
commit are sealed as one. This is the log and the memtable of an LSM tree (P. O'Neil et al.,
1996), one floor above the engine's own, which see sealed records only. So there are two logs,
and a write is let go of by this one when it is durable in the other. All that comes from above
passes through here, in its order; what the floors below note for themselves does not.

The first write that finds no commit under way begins one when the loop has run the callbacks of
this turn. What comes while one is under way shares the next, which begins a turn after the last
one has been answered: by then the answers are on their way, and what they make clients and peers
send is coming in. To wait longer for company was measured, and cost more than it saved.

While the disk is full nothing is flushed: it would take room, and free none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kvorum.journal.emptying import Emptying
from kvorum.journal.entries import Entries
from kvorum.journal.memtable import Change
from kvorum.journal.merged_reads import merged_page, unreadable
from kvorum.journal.segment import Flush, Segment, SegmentLimits, Unflushed
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.runtime.ports import Cancellable, Runtime
from kvorum.sealing.seal import RECORD, namespace_of
from kvorum.sealing.shred_horizon import ShredHorizon
from kvorum.storage.answering import answer
from kvorum.storage.log import Log
from kvorum.storage.store import Cold, Done, FlushTarget, KeyRange

BATCH_BYTES_MAX: Final = 1 << 20

_TICK_S: Final = 0.05
_TICK_KEYS: Final = 128


class _Batch:
    """Writes that share an entry."""

    __slots__ = ("changes", "number", "size_bytes", "waiting")

    def __init__(self) -> None:
        self.number = 0
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
        "_durable_to",
        "_emptying",
        "_entries",
        "_flush",
        "_limits",
        "_log",
        "_older",
        "_on_failed",
        "_refusal",
        "_runtime",
        "_shred_horizon",
        "_ticking",
        "_under_way",
    )

    def __init__(
        self,
        below: FlushTarget,
        log: Log,
        entries: Entries,
        runtime: Runtime,
        limits: SegmentLimits,
        on_failed: Callable[[StorageError], object],
        shred_horizon: ShredHorizon | None = None,
    ) -> None:
        """`on_failed`: what is in memory turned out to be damaged. What `shred_horizon` says was
        shredded is not taken up by `replay`, which comes before anything else.
        """
        self._below = below
        self._log = log
        self._entries = entries
        self._runtime = runtime
        self._limits = limits
        self._shred_horizon = shred_horizon
        self._on_failed = on_failed

        self._active = Segment()
        self._flush: Flush | None = None
        self._older: list[Segment] = []
        """Closed, and not yet durable below; the youngest first, which `_flush` may be about."""
        self._batch = _Batch()
        self._under_way = 0
        self._durable_to = 0
        """The number of the newest entry that is durable."""
        self._ticking: Cancellable | None = None
        self._emptying = Emptying(runtime, log)
        self._refusal: StorageError | None = None
        self._closed = False

    def replay(self) -> str | None:
        """Take up what earlier lives have left in the log. Returns what is wrong with it, if
        anything: then writes that were acknowledged may be missing.
        """
        wrong: str | None = None
        for number, entry in self._log.entries():
            try:
                changes = self._entries.open(number, entry)
            except CorruptRecord as error:
                wrong, changes = error.message, []
            self._take_up(number, self._limits.in_log(entry), changes)
        self._durable_to = self._log.last
        if not self._active.is_empty:
            self._keep_ticking()
        return wrong

    # The Store port

    @property
    def failed(self) -> StorageError | None:
        return self._refusal or self._log.failed or self._below.failed

    @property
    def full(self) -> bool:
        return self._below.full

    @property
    def pressed(self) -> bool:
        return self._below.pressed

    def get(self, key: bytes) -> bytes | None:
        changes = self._active.memtable.changes
        if key in changes:
            return changes[key]
        for segment in self._older:
            changes = segment.memtable.changes
            if key in changes:
                return changes[key]
        return self._below.get(key)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        # Every read comes this way: what it shares with `get` is not put behind another call.
        changes = self._active.memtable.changes
        if key in changes:
            return changes[key]
        for segment in self._older:
            changes = segment.memtable.changes
            if key in changes:
                return changes[key]
        return self._below.find(key, then, arg)

    def put(self, key: bytes, value: bytes | None, done: Done, arg: Any) -> None:
        """None deletes what is at `key`."""
        if self._refusal is not None:
            self._runtime.call_soon(done, arg, self._refusal)
            return
        batch = self._batch
        if not batch.waiting:
            if not self._under_way:
                self._runtime.call_soon(self._go_on)
        elif batch.size_bytes >= BATCH_BYTES_MAX:
            self._commit()
            batch = self._batch
        batch.changes.append((key, value))
        batch.waiting.append((done, arg))
        batch.size_bytes += len(key) if value is None else len(key) + len(value)
        self._active.memtable.put(key, value)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self.put(key, None, done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        pairs: list[tuple[bytes, bytes]] = []
        while start < end and len(pairs) < limit:
            found, start = merged_page(
                self._below, self._segments(), start, end, limit - len(pairs)
            )
            pairs += found
        return pairs[:limit]

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        return unreadable(self._below, self._segments(), start, end)

    # Its owner's

    def is_unflushed(self, key: bytes) -> bool:
        """True if the journal says what `key` is, whatever the store below says of it."""
        return any(key in segment.memtable.changes for segment in self._segments())

    def unflushed(self) -> Unflushed:
        """What is durable here only."""
        return Unflushed.of(self._segments(), self._runtime.now())

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

    def resize(self, limits: SegmentLimits) -> None:
        """Close segments by these limits from now on."""
        self._limits = limits

    def empty(self, done: Done, arg: Any) -> None:
        """Flush all; `done(arg, error)` once it is durable and no trace of its entries is left."""
        if self._closed:
            self._runtime.call_soon(done, arg, _closed())
            return
        self._commit()
        self._log.part()
        self._emptying.ask(done, arg)
        self._settle()
        self._tick_anew()

    def close(self) -> None:
        """Hand over to the log what has been gathered. Nothing is flushed any more."""
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        self._commit()
        self._emptying.give_up(_closed())

    # Commits

    def _commit(self) -> None:
        """Append what has been gathered to the log, as one entry."""
        batch = self._batch
        if not batch.waiting:
            return
        self._batch = _Batch()
        entry = self._entries.seal(self._log.last + 1, batch.changes)
        self._under_way += 1
        number = batch.number = self._log.append(entry, self._durable, batch)
        self._active.add(number, self._limits.in_log(entry), self._runtime.now())
        if self._flush is None and self._active.fullness(self._limits) >= 1:
            self._close_segment()
        self._keep_ticking()

    def _durable(self, batch: _Batch, error: StorageError | None) -> None:
        self._under_way -= 1
        if error is None:
            self._durable_to = batch.number
            if self._emptying.is_asked:
                self._tick_anew()
        try:
            answer(self._runtime, iter(batch.waiting), error)
        finally:
            # Behind the answers, which are on their way to the network by then.
            self._runtime.call_soon(self._go_on)

    def _go_on(self) -> None:
        """Take a few steps of flush, as many as the new writes ask for, and begin a commit."""
        if self._flush is not None:
            self._flush_some(self._flush.due(self._active.fullness(self._limits)))
        if not self._under_way:
            self._commit()

    # Flush

    def _keep_ticking(self) -> None:
        if self._ticking is None and not self._closed:
            delay_s = 0.0 if self._is_urgent() else _TICK_S
            self._ticking = self._runtime.call_later(delay_s, self._tick)

    def _tick_anew(self) -> None:
        """It may have become urgent."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        self._keep_ticking()

    def _is_urgent(self) -> bool:
        """True if somebody waits for flush, and it can go on."""
        segment = self._active if self._flush is None else self._flush.segment
        is_durable = segment.last <= self._durable_to
        return is_durable and self._emptying.wants(segment) and not self._below.full

    def _tick(self) -> None:
        """Go on with flush where no new writes come; and with what is due for it."""
        self._ticking = None
        if self._closed:
            return
        if self.failed is not None:
            self._emptying.give_up(self.failed)
            return
        self._flush_some(_TICK_KEYS)
        if self._flush is None and self._is_due():
            self._commit()
            if self._flush is None:  # else it was full with that
                self._close_segment()
        if self._flush is not None or not self._active.is_empty:
            self._keep_ticking()

    def _is_due(self) -> bool:
        segment = self._active
        if segment.is_empty:
            return False
        old = self._runtime.now() - segment.since >= self._limits.age_s
        return old or self._emptying.wants(segment) or segment.fullness(self._limits) >= 1

    def _close_segment(self) -> None:
        """Nothing is being flushed, and nothing gathered."""
        self._flush = Flush(self._active, self._below)
        self._older.insert(0, self._active)
        self._active = Segment()

    def _flush_some(self, keys: int) -> None:
        flush = self._flush
        if flush is None or self._closed or self._below.full:
            return
        if self._durable_to < flush.segment.last:
            return  # A crash may leave what is flushed without the entries that have it.
        try:
            flush.advance(keys)
        except CorruptRecord as error:
            self._fail(error)
            return
        if flush.done:
            self._flush = None
            self._below.sync(self._flushed, flush.segment)

    def _flushed(self, segment: Segment, error: StorageError | None) -> None:
        """It is durable below, unless that has failed: then only this memtable may have it."""
        if self._closed:
            return  # The next life takes it up again.
        if error is not None:  # as well; the node knows
            self._emptying.give_up(error)
            return
        self._older.remove(segment)
        self._log.release(segment.last, _ignore, None)
        self._settle()

    def _settle(self) -> None:
        """Let go of what is wanted gone and has been flushed."""
        held = (segment.first for segment in self._segments() if not segment.is_empty)
        self._emptying.settle(next(held, self._log.last + 1))

    def refuse(self, error: StorageError) -> None:
        """Take no write from now on: the node could not carry out what it has decided."""
        self._refusal = self._refusal or error

    def _fail(self, error: CorruptRecord) -> None:
        why = error.message.removesuffix(".")
        self._refusal = StorageError(
            f"A record was damaged in this node's memory: {why}. The store takes no more writes. "
            "Restart the node, whose disk has it whole, and check its memory.",
            outcome="unknown",
        )
        self._runtime.call_soon(self._on_failed, self._refusal)

    # Reading

    def _segments(self) -> list[Segment]:
        """Oldest first."""
        return [*reversed(self._older), self._active]

    def _take_up(self, number: int, entry_bytes: int, changes: list[Change]) -> None:
        segment = self._active
        for key, value in changes:
            if value is not None and key[0] == RECORD and self._shred_horizon is not None:
                value = self._shred_horizon.without(key, value) or None
            segment.memtable.put(key, value)
        segment.add(number, entry_bytes, self._runtime.now())


def _closed() -> StorageError:
    return StorageError("The store is closed, and its journal cannot be emptied.")


def _ignore(_arg: None, _error: StorageError | None) -> None:
    """The log reports its failure to the node."""
