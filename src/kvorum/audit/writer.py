"""The writer: a thread that makes lines of what waits in the queue, and writes them in batches.

Where the disk does not take a batch, it is tried again once a second, and the queue fills up
meanwhile. Files are synced once a second.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from kvorum.audit.written_files import WrittenFiles

_GATHER_S: Final = 0.05
_SYNC_EVERY_S: Final = 1.0
_WARN_EVERY_S: Final = 60.0
_PAUSE_S: Final = 0.0005
"""Between two batches, so that the event loop gets the interpreter's lock."""

_log = logging.getLogger(__name__)


class Writer:
    """Writes what `take` gives, from `start` to `close`. `written`: how many entries it wrote.
    `failure`: why the disk does not take them, None if it does.
    """

    def __init__(
        self,
        files: WrittenFiles,
        take: Callable[[], list[bytes]],
        last: Callable[[], bytes],
        has_room: Callable[[], bool],
    ) -> None:
        """`take()`: the next batch, which is the writer's then; empty if nothing waits. `last()`:
        the entry that ends the log. `has_room()`: False while nothing may be written.
        """
        self.written = 0
        self.failure: OSError | None = None
        self._files = files
        self._take = take
        self._last = last
        self._has_room = has_room
        self._waiting: list[bytes] = []
        """The batch that is being written."""
        self._synced_at = time.monotonic()
        self._warned_at = -_WARN_EVERY_S
        self._awake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kvorum-audit", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Something waits."""
        if not self._awake.is_set():
            self._awake.set()

    def close(self) -> None:
        """Write what waits, and end. Blocks for the disk."""
        if self._thread.is_alive():
            self._closing.set()
            self._awake.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            if self.failure is None:
                self._awake.wait(None if self._files.is_synced else _SYNC_EVERY_S)
            self._awake.clear()
            self._closing.wait(_SYNC_EVERY_S if self.failure else _GATHER_S)
            self._attempt(self._write)
        for work in (self._write, self._write_last, self._files.close):
            try:
                work()
            except OSError as error:
                _log.error("The last entries of the audit log may be lost: %s.", error)

    def _write(self) -> None:
        while waiting := self._waiting or self._take():
            self._waiting = waiting
            if not self._has_room():
                raise OSError(errno.ENOSPC, "what is left of the disk is needed for data")
            self._files.write(waiting)
            self._waiting = []
            self.written += len(waiting)
            self._files.trim()
            self._sync_now_and_then()
            time.sleep(_PAUSE_S)
        self._sync_now_and_then()

    def _sync_now_and_then(self) -> None:
        now = time.monotonic()
        if now - self._synced_at >= _SYNC_EVERY_S:
            self._files.sync()
            self._synced_at = now

    def _write_last(self) -> None:
        if not self._waiting:
            self._files.write([self._last()])
            self._files.trim()

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self._fail(error)
        else:
            if self.failure is not None:
                self.failure = None
                _log.warning("The audit log is written again.")

    def _fail(self, error: OSError) -> None:
        self.failure = error
        now = time.monotonic()
        if now - self._warned_at >= _WARN_EVERY_S:
            self._warned_at = now
            _log.warning(
                "The audit log cannot be written: %s. Requests go on, and entries that find no "
                "room in memory are dropped and counted. Make room, or mend the disk.",
                error,
            )
