"""The reader: fetches what only the disk has, so that the event loop need not wait for it.

    loop      warm(key)? not in memory ──> queue                  then(arg): get(key) is at hand
                                             |                        ^
    thread                                   '──> fetch, all at once ─'

A read from the disk takes the engine 0.1 to 10 ms, and its `get` keeps the interpreter's lock
all that time: nothing else of the node runs. The thread fetches by a call that lets go of the
lock, and throws the result away. What counts is that the blocks are in the engine's cache now,
where `get` finds them in microseconds; an error is met again there, by someone who can tell of
it. Keys that came while a fetch ran share the next one.

The queue is bounded. Beyond that a cold read waits on the loop after all, which holds back
whoever asks for so many.

For the interpreter's lock a thread may wait long, see `syncer.py`; hence patience here, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final

from kvorum.runtime.ports import Runtime

READS_MAX: Final = 4096
_AT_ONCE: Final = 64
_PATIENCE_S: Final = 0.01
_PAUSE_S: Final = 0.0005

Then = Callable[[Any], object]
_Waiting = tuple[bytes, Then, Any]


class Reader:
    """One thread. All methods are for the loop's."""

    __slots__ = (
        "_call_threadsafe",
        "_closed",
        "_fetch",
        "_fetched",
        "_patient",
        "_runtime",
        "_thread",
        "_waiting",
        "_wanted",
    )

    def __init__(
        self,
        runtime: Runtime,
        call_threadsafe: Callable[..., Any],
        fetch: Callable[[list[bytes]], object],
    ) -> None:
        """`fetch` is called in the thread; it must not raise."""
        self._runtime = runtime
        self._call_threadsafe = call_threadsafe
        self._fetch = fetch
        self._wanted: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._fetched: SimpleQueue[list[_Waiting]] = SimpleQueue()
        self._waiting = 0
        self._patient = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="kvorum-read", daemon=True)
        self._thread.start()

    def ask(self, key: bytes, then: Then, arg: Any) -> bool:
        """`then(arg)` once `key` has been fetched, unless closed before; False: no room."""
        if self._waiting >= READS_MAX:
            return False
        self._waiting += 1
        self._wanted.put((key, then, arg))
        if not self._patient:
            self._patient = True
            self._runtime.call_later(_PATIENCE_S, self._pause, _PATIENCE_S)
        return True

    def close(self) -> None:
        """Nobody is called any more. Returns when the fetch under way has ended."""
        self._closed = True
        self._wanted.put(None)
        self._thread.join()

    # The thread

    def _run(self) -> None:
        while (first := self._wanted.get()) is not None:
            group, more = [first], True
            while more and len(group) < _AT_ONCE:
                more = self._take(group)
            if not self._closed:
                self._fetch([key for key, _, _ in group])
            self._fetched.put(group)
            # A closed loop runs nothing any more.
            with suppress(RuntimeError):
                self._call_threadsafe(self._deliver)

    def _take(self, group: list[_Waiting]) -> bool:
        """One more of those that wait, if there is any."""
        try:
            waiting = self._wanted.get_nowait()
        except Empty:
            return False
        if waiting is None:
            self._wanted.put(None)
            return False
        group.append(waiting)
        return True

    # The loop

    def _deliver(self) -> None:
        # Empty: the loop's thread found it while it paused.
        with suppress(Empty):
            self._hand_over(self._fetched.get_nowait())

    def _pause(self, patience_s: float) -> None:
        """Sleep without the lock until a fetch is back, or a moment at most."""
        if self._closed:
            return
        if not self._waiting:
            self._patient = False
            return
        try:
            group = self._fetched.get(timeout=_PAUSE_S)
        except Empty:
            patience_s *= 2
        else:
            patience_s = _PATIENCE_S
            self._hand_over(group)
        self._runtime.call_later(patience_s, self._pause, patience_s)

    def _hand_over(self, group: list[_Waiting]) -> None:
        self._waiting -= len(group)
        self._call(iter(group))

    def _call(self, group: Iterator[_Waiting]) -> None:
        try:
            for _, then, arg in group:
                if not self._closed:
                    then(arg)
        finally:
            # One that raises must not cost the others their turn.
            rest = list(group)
            if rest:
                self._runtime.call_soon(self._call, iter(rest))
