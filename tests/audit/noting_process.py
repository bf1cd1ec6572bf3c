"""A process that notes things in the audit log of a directory, until it is killed or told to end.

DIRECTORY            notes on and on; prints a line once something is written
DIRECTORY BYTES      its files may have so many bytes at first; prints a line once they are full,
                     and ends when the rest is written
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from kit.audit_logs import note_some, running
from kit.waiting import eventually


def note_on(directory: Path) -> None:
    with running(directory, file_bytes=50_000, files=4) as log:
        said = False
        for number in range(0, 1_000_000_000, 10):
            note_some(log, 10, first=number)
            eventually(lambda: log.written + 1000 > number, "the writer to follow")  # noqa: B023
            if log.written and not said:
                said = True
                print("written", flush=True)


def note_beyond(directory: Path, size: int) -> None:
    with running(directory, queue_max=100) as log:
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        note_some(log, 100)
        eventually(lambda: log.failure is not None, "the limit to be met")
        note_some(log, 300, first=100)
        print(log.dropped, flush=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


if __name__ == "__main__":
    where, *limit = sys.argv[1:]
    if limit:
        note_beyond(Path(where), int(limit[0]))
    else:
        note_on(Path(where))
