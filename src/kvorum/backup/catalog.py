"""Summaries of snapshots, for people."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvorum.backup import layout, manifest
from kvorum.backup.manifest import Content
from kvorum.backup.reading import known_damage
from kvorum.documents.snapshot import Snapshot
from kvorum.model.errors import ConfigError


def summaries(data_dir: Path) -> list[Snapshot]:
    """All complete snapshots in `data_dir`, as their manifests claim, oldest first."""
    found = [_claimed(data_dir, name) for name in layout.complete_names(data_dir)]
    return sorted(found, key=lambda summary: (summary.created_ms, summary.name))


def summary_of(path: Path, content: Content) -> Snapshot:
    """The summary of the snapshot in `path`."""
    return Snapshot(
        content.name,
        content.origin.node,
        content.origin.cluster,
        content.created_ms,
        content.origin.epoch,
        len(content.files),
        content.size,
        _shared_bytes(path, content),
    )


def examined(path: Path, content: Content) -> Snapshot:
    """The summary of the snapshot in `path`, with its known damage. Raises StorageError."""
    return msgspec.structs.replace(summary_of(path, content), unreadable=known_damage(path))


def _claimed(data_dir: Path, name: str) -> Snapshot:
    path = layout.snapshot_path(data_dir, name)
    try:
        return summary_of(path, manifest.read(path).claimed())
    except ConfigError as error:
        return Snapshot(name, damage=error.message)


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
