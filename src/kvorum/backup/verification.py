"""Whether a snapshot is, bit for bit, what its node made.

The manifest must open with the master key. Then the directory must hold the files that it
lists, each with its size and digest, and no other: the engine would read a log that has been
slipped in.
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
    """The content of the snapshot in `path`. Raises ConfigError or StorageError if it is wrong."""
    content = trusted(path, master)
    progress.expect(content.size)
    try:
        wanted, got = {file.path for file in content.files}, set(listed(path))
        if wanted != got:
            missing, strange = sorted(wanted - got), sorted(got - wanted)
            raise _damaged(path, f"files that are missing: {missing}, or strange: {strange}")
        for file in content.files:
            _check(path, file, progress)
    except OSError as error:
        raise StorageError(f"cannot read the snapshot in {path}: {error}") from error
    return content


def trusted(path: Path, master: MasterKey) -> Content:
    """What the manifest says, if it is authentic; the files are not looked at."""
    try:
        content = manifest.read(path).verified(master)
    except ConfigError as error:
        prefix = "" if str(path) in error.message else f"{path}: "
        raise ConfigError(f"{prefix}{error.message}", **error.details) from error
    if content.name != path.name:
        raise ConfigError(
            f"wanted snapshot {content.name!r} in a directory of its name, got {path}; "
            "rename the directory"
        )
    return content


def _check(path: Path, file: SnapshotFile, progress: Progress) -> None:
    size = (path / file.path).lstat().st_size
    if size != file.size:
        raise _damaged(path, f"{file.path} with {size} bytes in the place of {file.size}")
    if digest_of(path / file.path, progress) != file.digest:
        raise _damaged(path, f"other bytes in {file.path}")


def _damaged(path: Path, what: str) -> StorageError:
    return StorageError(
        f"wanted the snapshot in {path} as it was made, got {what}; use another snapshot, or "
        "that of another node"
    )
