"""Replacement of a stopped node's store by a snapshot's, or by an empty one.

The directory gets a new identity, because the node loses what it did since the snapshot: with the
old identity it would use dots twice, and count as a holder of copies that it no longer has. The new
identity says that data was lost, so the node compares with all other owners before it answers a
read (`repair/recovery.py`). The list of the peers' identities is kept: by it the node recognizes a
peer that has lost its data too.

    1  rocks.restoring   the new store is made, complete and durable
    2  node.json         gets a new identity; after a crash here, the old store goes on with it
    3  rocks             is moved aside to rocks.before-NAME
    4  journal, keys ... are moved aside in the same way and replaced by the snapshot's; an existing
                         catalog of namespaces is kept, as the other nodes have the same one
    5  rocks.restoring   becomes rocks

After a crash between 3 and 5 the node does not start, because it has an identity without data; a
repetition of the restore completes it. What is moved aside is never deleted here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

import msgspec

from kvorum.backup import layout
from kvorum.backup.manifest import Content
from kvorum.model.errors import ConfigError
from kvorum.storage import durable_file, identity
from kvorum.storage.durable_file import sync_directory
from kvorum.storage.identity import Identity

_DRAFT: Final = "rocks.restoring"
_SORTED: Final = ".sst"


def restore(data_dir: Path, path: Path, content: Content) -> str:
    """Replace the store in `data_dir` by the verified snapshot in `path`; returns the new node id.

    Raises ConfigError, before anything is changed, if the snapshot is of another node; or OSError.
    """
    old = _identity(path / layout.NODE)
    here = data_dir / layout.NODE
    if here.exists():
        current = _identity(here)
        current.check_facts(old.facts)
        old = current
    aside = f"before-{content.name}"
    _prepare(data_dir / _DRAFT, path / layout.ROCKS)
    new = _renewed(old, founded=True)
    durable_file.replace(here, identity.encode(new))
    _set_aside(data_dir / layout.ROCKS, aside)
    for name in (layout.JOURNAL, layout.KEYS, layout.DICTIONARIES):
        _set_aside(data_dir / name, aside)
    shutil.copytree(path / layout.DICTIONARIES, data_dir / layout.DICTIONARIES)
    durable_file.replace(data_dir / layout.KEYS, (path / layout.KEYS).read_bytes())
    catalog = path / layout.CATALOG
    if catalog.exists() and not (data_dir / layout.CATALOG).exists():
        durable_file.replace(data_dir / layout.CATALOG, catalog.read_bytes())
    sync_directory(data_dir / layout.DICTIONARIES)
    (data_dir / _DRAFT).rename(data_dir / layout.ROCKS)
    sync_directory(data_dir)
    return new.node_id


def empty(data_dir: Path, label: str) -> list[Path]:
    """Replace the store by an empty one, which the next start fills from the other nodes.

    Returns the paths to which the old files were moved. Raises OSError.
    """
    here = data_dir / layout.NODE
    old = known_identity(data_dir)
    aside = []
    if old is not None:
        durable_file.replace(here, identity.encode(_renewed(old, founded=False)))
    for name in (layout.ROCKS, layout.JOURNAL, layout.KEYS, layout.DICTIONARIES):
        aside += _set_aside(data_dir / name, label)
    if old is None:
        aside += _set_aside(here, label)
    else:
        (data_dir / layout.ROCKS).mkdir(mode=0o700)
    sync_directory(data_dir)
    return aside


def known_identity(data_dir: Path) -> Identity | None:
    """The node's identity; None if its file is missing or damaged."""
    try:
        return identity.decode((data_dir / layout.NODE).read_bytes())
    except (FileNotFoundError, ConfigError):
        return None


def _identity(file: Path) -> Identity:
    try:
        return identity.decode(file.read_bytes())
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", **error.details) from error
    except OSError as error:
        raise ConfigError(
            f"The node's identity {file} cannot be read: {error.strerror}."
        ) from error


def _renewed(old: Identity, *, founded: bool) -> Identity:
    """A new identity that has lost its data and knows the same peers.

    `founded`: True if the node must not start before its store is there.
    """
    new = identity.first_life(old.facts)
    for node_id, name in old.names.items():
        new = new.knowing(node_id, name)
    return msgspec.structs.replace(new.stopped_at(0, 0), founded=founded, forgot=True)


def _prepare(draft: Path, rocks: Path) -> None:
    """Copy the snapshot's store to `draft`, durably."""
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    for file in rocks.iterdir():
        copy = draft / file.name
        # The engine changes all but sorted files in place.
        if file.suffix == _SORTED:
            _link(file, copy)
        else:
            shutil.copyfile(file, copy)
        _sync(copy)
    sync_directory(draft)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        # Another file system, or one without hard links.
        shutil.copyfile(source, target)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _set_aside(path: Path, label: str) -> list[Path]:
    """Rename `path`; returns its new path, or nothing if an earlier run has renamed it already."""
    if not path.exists():
        return []
    aside = path.with_name(f"{path.name}.{label}")
    number = 2
    while aside.exists():
        aside = path.with_name(f"{path.name}.{label}-{number}")
        number += 1
    path.rename(aside)
    sync_directory(path.parent)
    return [aside]
