"""`keys.json`: a keyring's state as bytes, and how the file is replaced without leaving keys.

    {"format": 1, "master_key": id, "mac": 64 hex digits, "state": {...}}

The master key that wraps the keys vouches for the list of them (`authenticated_document.py`).

A key that leaves the file must leave the disk. So the old file keeps a second name until its
bytes have been overwritten, and whoever opens the file next ends what a crash cut short:

    1  keys.json.old   a hard link to keys.json
    2  keys.json       replaced whole (durable_file.py), now keys.json.old is the old one alone
    3  keys.json.old   overwritten, synced, unlinked

Overwriting reaches the old bytes where the file system writes in place. Copies that it or the
drive made of its own accord, and backups, are out of reach.
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
"""Room for all key ids, each in a namespace of its own with a name of 64 characters."""


class KeyringFile(AuthenticatedDocument, frozen=True, forbid_unknown_fields=True):
    KIND = Kind(
        FORMAT,
        b"kvorum keyring, format 1",
        wanted="the keys of this directory's data",
        sealed="this directory",
        use_later="start it with the later kvorum that wrote it",
        remedy="restore it, or start on an empty data directory and let the node be repaired from "
        "the others",
    )

    body: msgspec.Raw = msgspec.field(name="state")

    def verified(self, master: MasterKey) -> KeyringState:
        """Raises ConfigError if another master key sealed it, or if anybody has changed it."""
        try:
            return msgspec.json.decode(self.proven(master), type=KeyringState)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self.damaged(str(error)) from error


def encode(state: KeyringState, master: MasterKey) -> bytes:
    return KeyringFile.sealed(state, master).encoded()


def decode(data: bytes) -> KeyringFile:
    """Raises ConfigError if `data` is damaged or of a later format."""
    return KeyringFile.decode(data)


def read(path: Path) -> KeyringFile:
    """Raises ConfigError if it is missing, damaged or of a later format, and OSError."""
    try:
        return KeyringFile.read(path, FILE_BYTES_MAX)
    except FileNotFoundError as error:
        raise ConfigError(
            "wanted the keys of this directory's data, got no such file; restore it: without it "
            "nobody can read the data"
        ) from error


def write(path: Path, data: bytes) -> None:
    """Put `data` in place of the file, durably, and overwrite the bytes of the old one."""
    finish(path)
    old = _old_of(path)
    if path.exists():
        old.hardlink_to(path)
    durable_file.replace(path, data)
    if old.exists():
        _erase(old)


def finish(path: Path) -> None:
    """End a `write` that was cut short: of its files only `path` is left."""
    old, draft = _old_of(path), durable_file.draft_of(path)
    if old.exists() and path.exists() and old.samefile(path):
        old.unlink()
    left = [file for file in (old, draft) if file.exists()]
    if left:
        # A rename that is not yet durable could be undone after its old file is overwritten.
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
