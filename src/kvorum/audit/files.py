"""The files of an audit log in its directory, which only the node's user may read.

audit-000001.jsonl   lines, in the order of the files' numbers
audit-000002.jsonl
audit-000002.torn-7  what a crash left behind line 7 of that file, which is no whole line
key                  what keys are hashed under, where they are; made once
LOCK                 locked (flock) while a process writes; holds its pid
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from kvorum.model.errors import ConfigError

AUDIT: Final = "audit"
"""The name of the directory, in the data directory of a node."""
LOCK: Final = "LOCK"

_NAME: Final = re.compile(r"audit-([0-9]{6,})\.jsonl")


class LogFile(NamedTuple):
    """A file of the log, and its place among them."""

    number: int
    path: Path


def path_of(directory: Path, number: int) -> Path:
    """The file with this number."""
    return directory / f"audit-{number:06d}.jsonl"


def torn_path(file: Path, last: int) -> Path:
    """Where what follows the line `last` of `file` is kept aside, as it is no whole line."""
    return file.with_suffix(f".torn-{last}")


def log_files(directory: Path) -> list[LogFile]:
    """The files of the log in `directory`, the oldest one first. Raises OSError."""
    found = [(_NAME.fullmatch(path.name), path) for path in directory.iterdir()]
    return sorted(LogFile(int(match[1]), path) for match, path in found if match is not None)


def directory_of_log(path: Path) -> Path:
    """Where the audit log is that somebody means by `path`: its directory, or the data directory of
    a node. Raises ConfigError if there is none.
    """
    for directory in (path, path / AUDIT):
        try:
            if log_files(directory):
                return directory
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(
                f"The audit log in {directory} cannot be read: {error.strerror}. Run this as the "
                "user that the node runs as."
            ) from error
    raise ConfigError(
        f"There is no audit log in {path}. Name the data directory of a node that was started with "
        "--audit, or the directory 'audit' in there."
    )


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keeps other processes from writing the log in `directory`. Raises ConfigError if one does."""
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(lock, 20).decode("ascii", "replace").strip() or "unknown"
            raise ConfigError(
                f"The audit log in {directory} is written by process {holder}. Stop that one, or "
                "choose another data directory.",
                pid=holder,
            ) from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(lock)


def is_written(directory: Path) -> bool:
    """True if a process writes the log in `directory` now. Raises OSError."""
    try:
        lock = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
