"""Verification of a snapshot: that it is, bit for bit, as its node made it.

The manifest's MAC must be by the master key. The directory must have the files that it lists, each
with its size and digest, and no others: the engine would read a log that was added.
"""

from __future__ import annotations

from pathlib import Path

from kvorum.backup import manifest
from kvorum.backup.creation import listed
from kvorum.backup.digests import digest_of
from kvorum.backup.manifest import Content, SnapshotFile
from kvorum.backup.progress import Progress
from kvorum.model.errors import ConfigError, StorageError
from kvorum.sealing.master_key import MasterKey


def verify(path: Path, master: MasterKey, progress: Progress) -> Content:
    """The content of `path`, all files compared. Raises ConfigError or StorageError."""
    content = trusted(path, master)
    progress.expect(content.size)
    try:
        expected, found = {file.path for file in content.files}, set(listed(path))
        if missing := sorted(expected - found):
            raise _damaged(path, f"it lacks {', '.join(missing)}")
        if added := sorted(found - expected):
            raise _damaged(path, f"{', '.join(added)} was added")
        for file in content.files:
            _check(path, file, progress)
    except OSError as error:
        raise StorageError(f"The snapshot in {path} cannot be read: {error}.") from error
    return content


def trusted(path: Path, master: MasterKey) -> Content:
    """The content of an authentic manifest; the files are not compared. Raises ConfigError."""
    try:
        content = manifest.read(path).verified(master)
    except ConfigError as error:
        prefix = "" if str(path) in error.message else f"{path}: "
        raise ConfigError(f"{prefix}{error.message}", **error.details) from error
    if content.name != path.name:
        raise ConfigError(
            f"{path} contains the snapshot {content.name!r}. Rename the directory to that name."
        )
    return content


def _check(path: Path, file: SnapshotFile, progress: Progress) -> None:
    size = (path / file.path).lstat().st_size
    if size != file.size:
        raise _damaged(path, f"{file.path} has {size} bytes in the place of {file.size}")
    if digest_of(path / file.path, progress) != file.digest:
        raise _damaged(path, f"{file.path} has other content")


def _damaged(path: Path, what: str) -> StorageError:
    return StorageError(
        f"The snapshot in {path} is damaged or changed: {what}. Use another snapshot, or that of "
        "another node."
    )
