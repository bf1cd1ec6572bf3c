"""Small files that are only ever replaced whole, so that a crash leaves the old or the new one.

    draft written and synced -> renamed over the file -> directory synced

A rename is atomic but not durable: without the last step a power cut may undo it, and
without the first it may leave a new name on bytes that never reached the disk.
"""

from __future__ import annotations

import os
from pathlib import Path


def draft_of(file: Path) -> Path:
    """Where the next content of `file` is written. What a crash leaves there counts for nothing."""
    return file.with_name(file.name + ".new")


def replace(file: Path, data: bytes) -> None:
    """Put `data` in place of `file` so that at any moment one of the two is there, durably."""
    draft = draft_of(file)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
    except OSError:
        # On a full disk it would take up what others need.
        draft.unlink(missing_ok=True)
        raise
    draft.replace(file)
    sync_directory(file.parent)


def sync_directory(path: Path) -> None:
    """Wait until what was made, renamed or removed in `path` is durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
