"""Where an export goes: stdout, a file, or what is no file and is written straight through.

A file is replaced when all is written. A new one can be read by its owner alone, for it holds what
the store keeps sealed; one that was there keeps its mode, and its owner and group with it.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from kvorum.model.errors import ConfigError
from kvorum.storage.durable_file import sync_directory

STDOUT: Final = "-"

_STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR: Final = re.compile(r"/(?:dev|proc/self)/fd/(\d{1,9})")
_PRIVATE: Final = 0o600
_PERMISSIONS: Final = 0o777
_OF_THE_OWNER: Final = 0o700


def named(file: str) -> str:
    """`file`, or STDOUT by whatever name it goes."""
    return STDOUT if _descriptor(file) == 1 else file


@contextmanager
def opened(file: str) -> Iterator[IO[bytes]]:
    """Raises ConfigError if `file` cannot be written."""
    if file == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _opened(file) as out:
            yield out
    except OSError as error:
        raise ConfigError(
            f"The file {file} cannot be written: {error.strerror}. Name another one."
        ) from error


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    descriptor = _descriptor(file)
    if descriptor is not None:
        # It may be a socket, or open for appending: to open it by name would not do.
        with os.fdopen(os.dup(descriptor), "wb") as out:
            yield out
        return
    before = _state(file)
    if before is not None and not stat.S_ISREG(before.st_mode):
        with open(file, "wb") as out:
            yield out
    else:
        with _replacing(Path(file).resolve(), before) as out:
            yield out


def _descriptor(file: str) -> int | None:
    """The number of the open file that `file` is a name of."""
    found = _DESCRIPTOR.fullmatch(file)
    return int(found[1]) if found else _STANDARD.get(file)


def _state(file: str) -> os.stat_result | None:
    try:
        return os.stat(file)
    except FileNotFoundError:
        return None


@contextmanager
def _replacing(path: Path, before: os.stat_result | None) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` once it is complete and on disk."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
            out.flush()
            if before is not None:
                os.fchmod(descriptor, _mode_after(descriptor, before))
            os.fsync(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _mode_after(descriptor: int, before: os.stat_result) -> int:
    """The mode of the file that is replaced; of another owner or group it would let others in."""
    mode = stat.S_IMODE(before.st_mode) & _PERMISSIONS
    try:
        os.fchown(descriptor, before.st_uid, before.st_gid)
    except PermissionError:
        return mode & _OF_THE_OWNER
    return mode
