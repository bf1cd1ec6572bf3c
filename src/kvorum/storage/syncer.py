"""Syncers: who waits for the disk, and so what "durable" means for a store.

    AdaptiveSyncer the loop waits for a fast disk, a thread for a    servers, fsync
                   slow one
    ThreadSyncer   a thread of its own waits, the loop goes on
    InlineSyncer   the caller waits                                 embedded, single-threaded
    NoSyncer       nobody waits: the system's page cache is enough  durability "os"
    SwitchedSyncer one of two, as the namespaces of today ask       servers

A write under NoSyncer survives the death of the process, not of the machine.

ThreadSyncer and the interpreter's lock (GIL). The sync itself runs without the lock, but
its thread needs it twice: to begin, and to say that it ended. A thread that wants the lock
sleeps until it is freed, or for a switch interval (5 ms), after which it may demand it. An
event loop frees the lock for a moment at every turn and takes it back before the sleeper is
up, and each such moment restarts the sleeper's interval. So a loop whose turns are shorter
than the interval can starve the thread: a loop kept busy with turns of 0.3 ms acknowledged
no write in 1.6 s. A shorter interval for the whole process would cure that, but at 5 to 500
microseconds it cost three nodes on two cores 10 to 45% of their writes, in switches that
nobody needed. Hence patience: where a sync is not back in time, the loop's thread sleeps a
moment without the lock, which is all that the other one lacks. Patience doubles, so that a
slow disk, which is no fault of the lock's, does not stop the loop over and over.

Even so a thread is not free: while it waits for the lock, each moment that the loop frees
it is a system call to wake the thread, in vain most times. With syncs of 0.3 ms, three busy
nodes on two cores spent a fifth less processor time on a write, and made a sixth more of
them, when each loop simply waited for its disk. That is right while a sync is short beside
the rest of a commit, and wrong on a disk that takes 10 ms, where reads would wait as well:
hence AdaptiveSyncer, which measures. On processors that are busy a sync seems longer than the
disk takes, as the loop has to get its processor back, so the bound is not a tight one: with
1 ms in the place of 2 it went to the thread now and then, which cost a twentieth of the writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, Protocol

from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Cancellable, Runtime

Sync = Callable[[], None]
"""Blocks until the log is on disk. Raises StorageError."""

Finished = Callable[[StorageError | None], None]

_Ended = tuple[Finished, StorageError | None]

_SHORT_S: Final = 0.002
_SAMPLE_MAX_S: Final = 0.01
_PROBE_EVERY: Final = 64

_PATIENCE_S: Final = 0.001
_PAUSE_S: Final = 0.0005


class Syncer(Protocol):
    """One sync at a time."""

    @property
    def waits(self) -> bool:
        """False if `sync` is never run: durable is what the system has been given."""

    def start(self, sync: Sync, finished: Finished) -> None:
        """Run `sync`, then `finished(error)` on the loop's thread, after `start` returned."""

    def wait(self) -> None:
        """Block until the running sync ends and call its `finished` before returning."""

    def choose(self, waits: bool) -> None:
        """From the next sync on wait for the disk, or do not: where there is a choice."""

    def close(self) -> None:
        """Free what it holds. No sync is running."""


class Syncers(NamedTuple):
    """One for each log: the journal's, which writes wait for, and the engine's."""

    log: Syncer
    engine: Syncer


def _outcome(sync: Sync) -> StorageError | None:
    try:
        sync()
    except StorageError as error:
        return error
    return None


class InlineSyncer:
    """The caller waits for the disk."""

    __slots__ = ("_call_soon", "_ended")
    waits = True

    def __init__(self, call_soon: Callable[..., object]) -> None:
        self._call_soon = call_soon
        self._ended: _Ended | None = None

    def start(self, sync: Sync, finished: Finished) -> None:
        self._ended = finished, _outcome(sync)
        self._call_soon(self.wait)

    def wait(self) -> None:
        if self._ended is not None:
            finished, error = self._ended
            self._ended = None
            finished(error)

    def choose(self, waits: bool) -> None:
        """There is none."""

    def close(self) -> None:
        """Holds nothing."""


class NoSyncer(InlineSyncer):
    """Nobody waits for the disk."""

    __slots__ = ()
    waits = False

    def start(self, sync: Sync, finished: Finished) -> None:
        super().start(_nothing, finished)


def _nothing() -> None:
    """The write is in the system's page cache already."""


class SwitchedSyncer:
    """Waits for the disk through `make()`, which is called when that is first asked for; or does
    not wait at all.
    """

    __slots__ = ("_idle", "_make", "_running", "_waiting", "waits")

    def __init__(
        self, make: Callable[[], Syncer], call_soon: Callable[..., object], waits: bool
    ) -> None:
        self._make = make
        self._waiting: Syncer | None = None
        self._idle = NoSyncer(call_soon)
        self._running: Syncer = self._idle
        self.waits = waits

    def start(self, sync: Sync, finished: Finished) -> None:
        self._running = self._chosen() if self.waits else self._idle
        self._running.start(sync, finished)

    def wait(self) -> None:
        self._running.wait()

    def choose(self, waits: bool) -> None:
        self.waits = waits

    def close(self) -> None:
        if self._waiting is not None:
            self._waiting.close()

    def _chosen(self) -> Syncer:
        if self._waiting is None:
            self._waiting = self._make()
        return self._waiting


class AdaptiveSyncer:
    """On the loop while syncs take less than `_SHORT_S` on average, else in the thread.

    Only syncs on the loop are timed: in a thread the wait for the lock would count as well.
    So every `_PROBE_EVERY`-th sync goes to the loop even when the disk is slow; the average
    moves by a sixteenth of each sample, and a single long sync counts for `_SAMPLE_MAX_S`.
    """

    __slots__ = ("_average_s", "_inline", "_now", "_running", "_since_probe", "_thread")
    waits = True

    def __init__(self, runtime: Runtime, call_threadsafe: Callable[..., Any]) -> None:
        self._now = runtime.now
        self._inline = InlineSyncer(runtime.call_soon)
        self._thread = ThreadSyncer(runtime, call_threadsafe)
        self._running: Syncer = self._inline
        self._average_s = 0.0
        self._since_probe = 0

    def start(self, sync: Sync, finished: Finished) -> None:
        self._since_probe += 1
        if self._average_s < _SHORT_S or self._since_probe >= _PROBE_EVERY:
            self._since_probe = 0
            self._running = self._inline
            began = self._now()
            self._inline.start(sync, finished)
            took = min(self._now() - began, _SAMPLE_MAX_S)
            self._average_s += (took - self._average_s) / 16
        else:
            self._running = self._thread
            self._thread.start(sync, finished)

    def wait(self) -> None:
        self._running.wait()

    def choose(self, waits: bool) -> None:
        """There is none."""

    def close(self) -> None:
        self._thread.close()


class ThreadSyncer:
    """A thread of its own waits for the disk."""

    __slots__ = ("_call_threadsafe", "_ended", "_runtime", "_thread", "_timer", "_work")
    waits = True

    def __init__(self, runtime: Runtime, call_threadsafe: Callable[..., Any]) -> None:
        """`call_threadsafe(callback)` has the runtime's thread run `callback` soon."""
        self._runtime = runtime
        self._call_threadsafe = call_threadsafe
        self._work: SimpleQueue[tuple[Sync, Finished] | None] = SimpleQueue()
        self._ended: SimpleQueue[_Ended] = SimpleQueue()
        self._timer: Cancellable | None = None
        self._thread = threading.Thread(target=self._run, name="kvorum-sync", daemon=True)
        self._thread.start()

    def start(self, sync: Sync, finished: Finished) -> None:
        self._work.put((sync, finished))
        self._be_patient(_PATIENCE_S)

    def wait(self) -> None:
        self._finish(self._ended.get())

    def choose(self, waits: bool) -> None:
        """There is none."""

    def close(self) -> None:
        self._work.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            sync, finished = work
            self._ended.put((finished, _outcome(sync)))
            # A closed loop runs nothing any more; `wait` still finds the outcome.
            with suppress(RuntimeError):
                self._call_threadsafe(self._deliver)

    def _deliver(self) -> None:
        try:
            ended = self._ended.get_nowait()
        except Empty:  # the loop's thread found it while it waited or paused
            return
        self._finish(ended)

    def _be_patient(self, patience_s: float) -> None:
        self._timer = self._runtime.call_later(patience_s, self._pause, patience_s)

    def _pause(self, patience_s: float) -> None:
        """Sleep without the lock until the sync is back, or a moment at most."""
        try:
            ended = self._ended.get(timeout=_PAUSE_S)
        except Empty:
            self._be_patient(2 * patience_s)
        else:
            self._finish(ended)

    def _finish(self, ended: _Ended) -> None:
        if self._timer is not None:
            self._timer.cancel()
        finished, error = ended
        finished(error)
