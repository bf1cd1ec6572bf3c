"""The hold of a process on the directory of the cluster that it runs.

    up.lock    locked (flock) by that process for as long as it lives; holds its process id

The system lets go of a lock when its process ends, however it ends. So a process id in a locked
file is never that of a stranger that got the number later, and nothing has to be cleaned up.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError

_NAME: Final = "up.lock"
_DIGITS_MAX: Final = 20


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """The time in which this process runs the cluster in `directory`. Raises ConfigError if another
    one does."""
    descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not _locked(descriptor):
            raise already_running(directory, _noted(descriptor))
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(directory: Path) -> int | None:
    """The id of the process that runs the cluster in `directory`; None if none does."""
    try:
        descriptor = os.open(directory / _NAME, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _locked(descriptor) else _noted(descriptor)
    finally:
        os.close(descriptor)


def ask_to_stop(directory: Path) -> int | None:
    """Have the cluster in `directory` stop; returns the id of its process, None if none runs."""
    process = holder(directory)
    if process is None:
        return None
    if not hasattr(os, "pidfd_open"):
        os.kill(process, signal.SIGTERM)
        return process
    try:
        same = os.pidfd_open(process)
    except ProcessLookupError:
        return None
    try:
        # It may have ended since, and its number be another's: then it holds nothing any more.
        if holder(directory) != process:
            return None
        signal.pidfd_send_signal(same, signal.SIGTERM)
    finally:
        os.close(same)
    return process


def already_running(directory: Path, process: int | None) -> ConfigError:
    """The refusal to run the cluster in `directory` twice."""
    return ConfigError(
        f"The cluster in {directory} runs already, as process {process}. Use it, or stop it with "
        f"'kvorum down --data-dir {directory}' first."
    )


def _locked(descriptor: int) -> bool:
    """True if this process has the lock now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _noted(descriptor: int) -> int | None:
    """The process id in the file; None in the moment before it is there."""
    text = os.pread(descriptor, _DIGITS_MAX, 0)
    return int(text) if text.isdigit() else None
