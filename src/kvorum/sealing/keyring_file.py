"""`keys.json`: a keyring's state as bytes, and how the file is replaced without leaving keys.

    {"format": 1, "master_key": id, "mac": 64 hex digits, "state": {...}}

The MAC is the master key's, over the format and state's bytes as they stand there. The rest is
fixed by what it says, so a file that is not, byte by byte, what would be written is refused.

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
from kvorum.sealing.keyring_state import KeyringState
from kvorum.sealing.master_key import MasterKey
from kvorum.storage import durable_file

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 1 << 25
"""Room for all key ids, each in a namespace of its own with a name of 64 characters."""

_CONTEXT: Final = b"kvorum keyring, format 1"


class _Format(msgspec.Struct):
    """All that any later format is sure to have."""

    format: int


class KeyringFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As read: nothing in it may be believed before `verified`."""

    format: int
    master_key: str
    mac: str
    state: msgspec.Raw

    def verified(self, master: MasterKey) -> KeyringState:
        """Raises ConfigError if another master key sealed it, or if anybody has changed it."""
        if master.id != self.master_key:
            raise ConfigError(
                f"wanted master key {self.master_key}, which sealed this directory, got "
                f"{master.id}; name the source that gives the former",
                wanted=self.master_key,
                got=master.id,
            )
        state = bytes(self.state)
        if self.mac != _mac(master, state):
            raise _damaged(f"it is not what master key {master.id} sealed")
        try:
            return msgspec.json.decode(state, type=KeyringState)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _damaged(str(error)) from error


def encode(state: KeyringState, master: MasterKey) -> bytes:
    content = msgspec.json.encode(state)
    return _rendered(KeyringFile(FORMAT, master.id, _mac(master, content), msgspec.Raw(content)))


def decode(data: bytes) -> KeyringFile:
    """Raises ConfigError if `data` is damaged or of a later format."""
    try:
        stored = msgspec.json.decode(data, type=_Format).format
        if stored > FORMAT:
            raise ConfigError(
                f"wanted a format of at most {FORMAT}, got {stored}; "
                "start it with the later kvorum that wrote it"
            )
        file = msgspec.json.decode(data, type=KeyringFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(str(error)) from error
    if file.format < FORMAT or _rendered(file) != data:
        raise _damaged("its format or shape is wrong")
    return file


def read(path: Path) -> KeyringFile:
    """Raises ConfigError if it is missing, damaged or of a later format, and OSError."""
    try:
        with path.open("rb") as stream:
            data = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise ConfigError(
            "wanted the keys of this directory's data, got no such file; restore it: without it "
            "nobody can read the data"
        ) from error
    if len(data) > FILE_BYTES_MAX:
        raise _damaged(f"it has more than {FILE_BYTES_MAX} bytes")
    return decode(data)


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


def _mac(master: MasterKey, state: bytes) -> str:
    return master.mac(state, _CONTEXT).hex()


def _rendered(file: KeyringFile) -> bytes:
    return msgspec.json.encode(file) + b"\n"


def _damaged(why: str) -> ConfigError:
    return ConfigError(
        f"wanted the keys of this directory's data, got a file that was damaged or changed "
        f"({why}); restore it, or start on an empty data directory and let the node be repaired "
        "from the others"
    )
