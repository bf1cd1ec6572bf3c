"""`keys.json`: the file format of a keyring, and how the file is replaced without leaving old keys.

    {"format": 1, "master_key": id, "mac": 64 hex digits, "state": {...}}

The MAC is by the master key that wraps the keys (`authenticated_document.py`).

A key that is deleted must leave the disk too. So the old file keeps a second name until its bytes
have been overwritten, and whoever opens the file next completes what a crash interrupted:

    1  keys.json.old   a hard link to keys.json
    2  keys.json       replaced as a whole (durable_file.py); keys.json.old is now the old file
    3  keys.json.old   overwritten, synced, unlinked

Overwriting destroys the old bytes if the file system writes in place. Copies that the file system
or the drive made by itself, and backups, are out of reach.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.sealing.authenticated_document import AuthenticatedDocument, Kind
from kvorum.sealing.keyring_state import KeyringState
from kvorum.sealing.master_key import MasterKey
from kvorum.storage import durable_file

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1 << 25
"""Enough for all key ids, each in a namespace of its own with a name of 64 characters."""


class KeyringFile(AuthenticatedDocument, frozen=True, forbid_unknown_fields=True):
    """A keyring's state with its MAC."""

    KIND = Kind(
        FORMAT,
        b"kvorum keyring, format 1",
        title="The keyring",
        sealed="This directory",
        use_later="Start the node with the later kvorum that wrote it.",
        remedy="Restore it, or start on an empty directory and let the other nodes fill it.",
    )

    body: msgspec.Raw = msgspec.field(name="state")

    def verified(self, master: MasterKey) -> KeyringState:
        """The state. Raises ConfigError if its MAC is another master key's, or does not match."""
        try:
            return msgspec.json.decode(self.proven(master), type=KeyringState)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self.damaged(str(error)) from error


def read(path: Path) -> KeyringFile:
    """The file at `path`. Raises ConfigError if missing, damaged or of a later format; OSError."""
    try:
        return KeyringFile.read(path, FILE_BYTES_MAX)
    except FileNotFoundError as error:
        raise ConfigError(
            "The keyring is missing. Restore it: without it nobody can read this directory's data."
        ) from error


def write(path: Path, data: bytes) -> None:
    """Replace the file by `data`, durably, and overwrite the bytes of the old one."""
    finish(path)
    old = _old_of(path)
    if path.exists():
        old.hardlink_to(path)
    durable_file.replace(path, data)
    if old.exists():
        _erase(old)


def finish(path: Path) -> None:
    """Complete a `write` that was interrupted: of its files only `path` is left."""
    old, draft = _old_of(path), durable_file.draft_of(path)
    if old.exists() and path.exists() and old.samefile(path):
        old.unlink()
    left = [file for file in (old, draft) if file.exists()]
    if left:
        # A rename that is not durable yet could be undone after its old file is overwritten.
        durable_file.sync_directory(path.parent)
    for file in left:
        _erase(file)


def _erase(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(bytes(file.stat().st_size))
        stream.flush()
        os.fsync(stream.fileno())
    file.unlink()


def _old_of(path: Path) -> Path:
    return path.with_name(path.name + ".old")
