"""Summaries of snapshots, for people."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvorum.backup import layout, manifest
from kvorum.backup.manifest import Content
from kvorum.backup.reading import known_damage
from kvorum.model.errors import ConfigError


class Summary(msgspec.Struct, frozen=True, omit_defaults=True):
    """One snapshot of one node. `shared_bytes`: the size of files that the store or other snapshots
    share; deleting the snapshot frees the others. `damage`: why all else is unknown.
    """

    name: str
    node: str = ""
    cluster: str = ""
    created_ms: int = 0
    epoch: int = 0
    files: int = 0
    bytes: int = 0
    shared_bytes: int = 0
    damage: str = ""
    unreadable: int = 0
    """How many records were in quarantine when it was made. Set when it is made or verified."""


def summaries(data_dir: Path) -> list[Summary]:
    """All complete snapshots in `data_dir`, as their manifests claim, oldest first."""
    found = [_claimed(data_dir, name) for name in layout.complete_names(data_dir)]
    return sorted(found, key=lambda summary: (summary.created_ms, summary.name))


def summary_of(path: Path, content: Content) -> Summary:
    """The summary of the snapshot in `path`."""
    return Summary(
        content.name,
        content.origin.node,
        content.origin.cluster,
        content.created_ms,
        content.origin.epoch,
        len(content.files),
        content.size,
        _shared_bytes(path, content),
    )


def examined(path: Path, content: Content) -> Summary:
    """The summary of the snapshot in `path`, with its known damage. Raises StorageError."""
    return msgspec.structs.replace(summary_of(path, content), unreadable=known_damage(path))


def _claimed(data_dir: Path, name: str) -> Summary:
    path = layout.snapshot_path(data_dir, name)
    try:
        return summary_of(path, manifest.read(path).claimed())
    except ConfigError as error:
        return Summary(name, damage=error.message)


def _shared_bytes(path: Path, content: Content) -> int:
    shared = 0
    for file in content.files:
        try:
            state = (path / file.path).lstat()
        except FileNotFoundError:
            continue  # A verification reports it.
        if state.st_nlink > 1:
            shared += state.st_size
    return shared
