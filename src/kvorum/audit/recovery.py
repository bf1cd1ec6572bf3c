"""Recovery: where the chain goes on when a log is opened, also after a crash.

The chain goes on behind the last line whose hash is right. What follows that line was being written
when the process or the machine died. It is kept aside in a file of its own, and cut off; an entry
will say so. Nothing else is changed: whether the lines before are right, `verification.py` says.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from kvorum.audit.backwards import lines_backwards
from kvorum.audit.chain import NOTHING, Link, read_line
from kvorum.audit.files import LogFile, log_files, torn_path
from kvorum.storage import durable_file


@dataclass(frozen=True, slots=True)
class Torn:
    """What was kept aside: so many bytes, in `path`."""

    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """`last`: where the chain is. `file`: where it goes on, None in an empty directory."""

    last: Link
    file: LogFile | None
    torn: list[Torn]


def recover(directory: Path) -> Recovered:
    """Make the log in `directory` end with a whole line. Raises OSError."""
    torn: list[Torn] = []
    files = log_files(directory)
    for file in reversed(files):
        end, last = _whole(file.path)
        size = file.path.stat().st_size
        if end < size:
            torn.append(_set_aside(file.path, end, size, last))
        if last is not None:
            return Recovered(last, files[-1], torn)
    return Recovered(NOTHING, files[-1] if files else None, torn)


def last_link(path: Path) -> Link | None:
    """The place in the chain of the last line of a file. Raises OSError."""
    return _whole(path)[1]


def _whole(path: Path) -> tuple[int, Link | None]:
    """Where the last line ends whose hash is right, and its place in the chain."""
    for stretch in lines_backwards(path):
        read = read_line(stretch.line) if stretch.whole else None
        if read is not None:
            return stretch.begin + len(stretch.line) + 1, read.link
    return 0, None


def _set_aside(path: Path, end: int, size: int, last: Link | None) -> Torn:
    """Move what follows `end` to a file of its own."""
    aside = torn_path(path, 0 if last is None else last.number)
    with path.open("r+b") as file:
        file.seek(end)
        durable_file.replace(aside, file.read())
        file.truncate(end)
        os.fsync(file.fileno())
    return Torn(aside, size - end)
