"""`kvorum words...` that kills itself (SIGKILL) before its Nth change below a directory.

    python killed_before.py N DIRECTORY words...

A change is a file or directory that is made, written, linked, renamed or removed. With N = 0 it
lives, and says on stderr how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Final

from kvorum.cli import main

CHANGES: Final = {"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
WRITING: Final = os.O_WRONLY | os.O_RDWR


class Watch:
    """An audit hook (sys.addaudithook)."""

    def __init__(self, last: int, directory: str) -> None:
        self.seen = 0
        self._last = last
        self._directory = directory

    def __call__(self, event: str, details: tuple[object, ...]) -> None:
        if not self._is_change(event, details):
            return
        self.seen += 1
        if self.seen == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _is_change(self, event: str, details: tuple[object, ...]) -> bool:
        if event not in CHANGES and not (event == "open" and _writes(details[2])):
            return False
        return any(
            isinstance(detail, str | os.PathLike) and os.fspath(detail).startswith(self._directory)
            for detail in details
        )


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and flags & WRITING != 0


if __name__ == "__main__":
    last, directory, *words = sys.argv[1:]
    watch = Watch(int(last), directory)
    sys.addaudithook(watch)
    main(words, standalone_mode=False)
    print(watch.seen, file=sys.stderr)
