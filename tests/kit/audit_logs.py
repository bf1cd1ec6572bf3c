"""Audit logs in a directory: written by the real writer, read line by line, and their disks."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kvorum.audit.audit_log import QUEUE_MAX, AuditLog
from kvorum.audit.files import log_files
from kvorum.audit.settings import AuditSettings

WALL_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Somebody:
    name: str = "ops"
    kind: str = "token"
    source: str = "10.0.0.7"


def audit_log(directory: Path, queue_max: int = QUEUE_MAX, **settings: Any) -> AuditLog:
    return AuditLog(
        directory, AuditSettings(**settings), "n1", lambda: WALL_MS, queue_max=queue_max
    )


@contextmanager
def running(directory: Path, queue_max: int = QUEUE_MAX, **settings: Any) -> Iterator[AuditLog]:
    """A log that is started, and closed at the end."""
    log = audit_log(directory, queue_max, **settings)
    log.start()
    try:
        yield log
    finally:
        log.close()


def note_some(log: AuditLog, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        log.note(Somebody(), "write", "default", f"k{number}", "ok")


def written(directory: Path, entries: int, **settings: Any) -> None:
    """Make a log with as many noted entries."""
    with running(directory, **settings) as log:
        note_some(log, entries)


def lines(directory: Path) -> list[bytes]:
    """All of them, with their ends."""
    return [
        line
        for file in log_files(directory)
        for line in file.path.read_bytes().splitlines(keepends=True)
    ]


def entries(directory: Path, *, own: bool = False) -> list[dict[str, Any]]:
    """What the lines say; those of the log about itself if they are wanted (`own`)."""
    read = [json.loads(line) for line in lines(directory)]
    return [entry for entry in read if (entry["kind"] == "log") == own]


class AuditDisk:
    """The disk under the written files: full after so many bytes, or so slow that it waits."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        """How many bytes it still takes; None for any number."""
        self.refused = 0
        self.going = threading.Event()
        self.going.set()
        self.asked = threading.Event()
        """Set once something is written."""
        self._write = os.write
        monkeypatch.setattr("kvorum.audit.written_files.os.write", self.write)

    def write(self, descriptor: int, data: Any) -> int:
        self.asked.set()
        self.going.wait()
        if self.room is None:
            return self._write(descriptor, data)
        if not self.room:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = self._write(descriptor, data[: self.room])
        self.room -= done
        return done
