"""Work on the engine's files that takes its time, in a thread: one piece after another.

The engine lets go of the interpreter's lock for it, and goes on serving.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from kvorum.model.errors import StorageError

Settled = Callable[[StorageError | None], object]

_PARTS: Final = 64
"""Compacting is done in as many steps, between which it can be ended."""


class Files(Protocol):
    """The engine's."""

    def flush(self) -> None:
        """Write to the files what is only in the log. Blocks."""

    def compact_part(self, part: int, parts: int) -> None:
        """Rewrite one of `parts` parts of the files. Blocks."""


class FileWork:
    """`hand_over(callback, *args)` has the loop call back; it may be called from a thread."""

    def __init__(self, files: Files, hand_over: Callable[..., object]) -> None:
        self._files = files
        self._hand_over = hand_over
        self._closing = False
        self._thread: threading.Thread | None = None

    def flush(self, settled: Settled) -> None:
        self._begin([self._files.flush], settled)

    def compact(self, settled: Settled) -> None:
        files = self._files
        parts = [lambda n=n: files.compact_part(n, _PARTS) for n in range(_PARTS)]
        self._begin([files.flush, *parts], settled)

    def close(self) -> None:
        """Wait for the step under way; nothing is settled any more."""
        self._closing = True
        if self._thread is not None:
            self._thread.join()

    def _begin(self, steps: list[Callable[[], None]], settled: Settled) -> None:
        assert self._thread is None or not self._thread.is_alive(), "one job at a time"
        self._thread = threading.Thread(
            target=self._run, args=(steps, settled), name="kvorum-files", daemon=True
        )
        self._thread.start()

    def _run(self, steps: list[Callable[[], None]], settled: Settled) -> None:
        try:
            for step in steps:
                if self._closing:
                    return
                step()
        except StorageError as error:
            self._hand_over(settled, error)
        else:
            self._hand_over(settled, None)


class InlineFileWork:
    """The same where there is one thread only, which waits."""

    def __init__(self, files: Files, call_soon: Callable[..., object]) -> None:
        self._files = files
        self._call_soon = call_soon

    def flush(self, settled: Settled) -> None:
        self._run(self._files.flush, settled)

    def compact(self, settled: Settled) -> None:
        def compact() -> None:
            self._files.flush()
            self._files.compact_part(0, 1)

        self._run(compact, settled)

    def _run(self, step: Callable[[], None], settled: Settled) -> None:
        try:
            step()
        except StorageError as error:
            self._call_soon(settled, error)
        else:
            self._call_soon(settled, None)
