"""Creation of a snapshot, while the node goes on serving.

    1  read the keys and dictionaries
    2  checkpoint                         the engine flushes its memtable and links all its files;
                                          writes stop for a moment
    3  read the keys and dictionaries     if they have changed, 1 to 3 are repeated: a key that was
                                          retired meanwhile may have sealed records in the files
    4  hash all files                     most are known from earlier snapshots: the same name, size
                                          and inode is the same file, and files never change
    5  sync all files, write the manifest now it is a snapshot

It contains all writes that were acknowledged before: `checkpoint` has the journal flushed first
(`journal/checkpoint.py`). It runs in a thread of its own, and touches nothing of the store but
`checkpoint`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from kvorum.backup import layout, manifest
from kvorum.backup.digests import digest_of
from kvorum.backup.manifest import Content, Origin, SnapshotFile
from kvorum.backup.progress import Progress
from kvorum.model.errors import ConfigError, PreconditionFailed, StorageError
from kvorum.sealing.keyring_file import KeyringFile
from kvorum.sealing.master_key import MasterKey
from kvorum.storage.durable_file import sync_directory

_ATTEMPTS: Final = 5


class Node(NamedTuple):
    """The node to make a snapshot of. `origin()`: its description now. `checkpoint(path)` makes
    the directory `path`, and blocks. `master()`: the master key.
    """

    data_dir: Path
    origin: Callable[[], Origin]
    checkpoint: Callable[[Path], object]
    master: Callable[[], MasterKey]


class _FileState(NamedTuple):
    inode: int
    size: int


def check_free(data_dir: Path, name: str) -> Path:
    """The path for a new snapshot `name`. Raises RequestError or PreconditionFailed."""
    path = layout.snapshot_path(data_dir, name)
    if (path / layout.MANIFEST).exists():
        raise PreconditionFailed(
            f"A snapshot named {name!r} already exists. Choose another name or delete it first."
        )
    return path


def create(node: Node, name: str, created_ms: int, progress: Progress) -> Content:
    """Make the snapshot, or none; its content. Raises PreconditionFailed, StorageError, OSError."""
    path = check_free(node.data_dir, name)
    layout.remove_incomplete(node.data_dir)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700)
    try:
        master = _copy(node, path)
        content = _described(node, name, created_ms, path, progress)
        _sync(path, content)
        manifest.write(path, content, master)
    except BaseException:
        shutil.rmtree(path)
        raise
    sync_directory(path.parent)
    return content


def _copy(node: Node, path: Path) -> MasterKey:
    """Make all files of the snapshot but its manifest. Returns the key that wraps its keys."""
    for _ in range(_ATTEMPTS):
        before = _small_files(node.data_dir)
        node.checkpoint(path / layout.ROCKS)
        master = node.master()
        wrapped_by = KeyringFile.decode(before[layout.KEYS]).master_key
        if before == _small_files(node.data_dir) and wrapped_by == master.id:
            _write_all(path, before)
            return master
        shutil.rmtree(path / layout.ROCKS)
    raise StorageError(
        f"Keys were changed during each of {_ATTEMPTS} attempts to make a checkpoint. Try again "
        "when no key is being rotated."
    )


def _small_files(data_dir: Path) -> dict[str, bytes]:
    """The files to copy, by path. The node's identity is copied, but not compared: it changes."""
    files = {layout.KEYS: (data_dir / layout.KEYS).read_bytes()}
    for path in sorted((data_dir / layout.DICTIONARIES).glob("*.dict")):
        try:
            files[f"{layout.DICTIONARIES}/{path.name}"] = path.read_bytes()
        except FileNotFoundError:
            continue  # Removed since it was listed; the second reading will lack it too.
    with suppress(FileNotFoundError):
        files[layout.CATALOG] = (data_dir / layout.CATALOG).read_bytes()
    return files


def _write_all(path: Path, files: dict[str, bytes]) -> None:
    (path / layout.DICTIONARIES).mkdir(mode=0o700)
    for name, data in files.items():
        _write(path / name, data)
    _write(path / layout.NODE, (path.parent.parent / layout.NODE).read_bytes())


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)


def _described(node: Node, name: str, created_ms: int, path: Path, progress: Progress) -> Content:
    states = {found: path.joinpath(found).lstat() for found in listed(path)}
    known = _known_digests(node, path)
    fresh = {
        found: state.st_size
        for found, state in states.items()
        if (found, _FileState(state.st_ino, state.st_size)) not in known
    }
    progress.expect(sum(fresh.values()))
    files = []
    for found, state in states.items():
        digest = known.get((found, _FileState(state.st_ino, state.st_size)))
        digest = digest or digest_of(path / found, progress)
        files.append(SnapshotFile(found, state.st_size, digest))
    return Content(name, created_ms, node.origin(), tuple(files))


def listed(path: Path) -> list[str]:
    """The files of a snapshot, without its manifest. Raises ConfigError if there are others."""
    found = []
    for entry in sorted(path.iterdir()):
        if entry.name in layout.FOLDERS and entry.is_dir() and not entry.is_symlink():
            found += [f"{entry.name}/{file.name}" for file in sorted(entry.iterdir())]
        elif entry.name != layout.MANIFEST:
            found.append(entry.name)
    for name in found:
        if not layout.is_known_path(name):
            raise ConfigError(f"{name!r} in {path} is no file of a snapshot. Remove it.")
    return found


def _known_digests(node: Node, path: Path) -> dict[tuple[str, _FileState], str]:
    """Digests of unchanged files in other snapshots, from their manifests."""
    known: dict[tuple[str, _FileState], str] = {}
    for name in layout.complete_names(node.data_dir):
        other = path.parent / name
        try:
            content = manifest.read(other).verified(node.master())
        except ConfigError:
            continue  # Damaged, or authenticated by another master key.
        for file in content.files:
            try:
                state = (other / file.path).lstat()
            except FileNotFoundError:
                continue
            if state.st_size == file.size:
                known[file.path, _FileState(state.st_ino, state.st_size)] = file.digest
    return known


def _sync(path: Path, content: Content) -> None:
    for file in content.files:
        descriptor = os.open(path / file.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for folder in layout.FOLDERS:
        sync_directory(path / folder)
    sync_directory(path)
