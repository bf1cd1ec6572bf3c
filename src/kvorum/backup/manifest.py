"""The manifest of a snapshot: what it is of, which files it has, and who vouches for that.

    {"format": 1, "master_key": id, "mac": 64 hex digits, "content": {...}}

The MAC is made with the master key of the node, over the format and the content's bytes as they
stand there, so whoever lacks that key can change nothing unseen: neither the manifest, nor any
file, for the content has the size and the BLAKE2b digest of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kvorum.backup.layout import MANIFEST, is_known_path
from kvorum.model.errors import ConfigError
from kvorum.sealing.master_key import MasterKey
from kvorum.storage import durable_file

FORMAT: Final = 1
MANIFEST_BYTES_MAX: Final = 1 << 26

_CONTEXT: Final = b"kvorum snapshot, format 1"


class SnapshotFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    size: Annotated[int, Meta(ge=0)]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the snapshot is of. `topology` is the cluster's as a TOML text, for people."""

    cluster: str
    node: str
    node_id: str
    epoch: int
    topology: str


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    created_ms: int
    origin: Origin
    files: tuple[SnapshotFile, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class _Format(msgspec.Struct):
    format: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As read: nothing in it may be believed before `verified`."""

    format: int
    master_key: str
    mac: str
    content: msgspec.Raw

    def verified(self, master: MasterKey) -> Content:
        """Raises ConfigError if another master key made it, or if anybody has changed it."""
        if master.id != self.master_key:
            raise ConfigError(
                f"wanted master key {self.master_key}, which the snapshot's node had, got "
                f"{master.id}; name the source that gives the former",
                wanted=self.master_key,
                got=master.id,
            )
        content = bytes(self.content)
        if not master.verifies(_from_hex(self.mac), content, _CONTEXT):
            raise _damaged(f"it is not what master key {master.id} sealed")
        return self.claimed()

    def claimed(self) -> Content:
        """What it says of itself, unproven. Raises ConfigError if it cannot be true."""
        try:
            content = msgspec.json.decode(self.content, type=Content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _damaged(str(error)) from error
        paths = [file.path for file in content.files]
        if len(set(paths)) < len(paths):
            raise _damaged("it lists a file twice")
        for path in paths:
            if not is_known_path(path):
                raise _damaged(f"no snapshot has a file {path[:200]!r}")
        return content


def write(path: Path, content: Content, master: MasterKey) -> None:
    """Make the directory `path`, whose files are durable, a snapshot."""
    text = msgspec.json.encode(content)
    mac = master.mac(text, _CONTEXT).hex()
    data = msgspec.json.encode(Manifest(FORMAT, master.id, mac, msgspec.Raw(text)))
    durable_file.replace(path / MANIFEST, data + b"\n")


def read(path: Path) -> Manifest:
    """The manifest of the snapshot in `path`. Raises ConfigError."""
    file = path / MANIFEST
    try:
        with file.open("rb") as stream:
            data = stream.read(MANIFEST_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f"wanted a snapshot in {path}, got: {error.strerror}; name a complete snapshot"
        ) from error
    try:
        return _decoded(data)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", **error.details) from error


def _decoded(data: bytes) -> Manifest:
    if len(data) > MANIFEST_BYTES_MAX:
        raise _damaged(f"it has more than {MANIFEST_BYTES_MAX} bytes")
    try:
        stored = msgspec.json.decode(data, type=_Format).format
        if stored > FORMAT:
            raise ConfigError(
                f"wanted a snapshot of format {FORMAT} at most, got format {stored}; use the "
                "later kvorum that made it"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(str(error)) from error
    if stored < FORMAT:
        raise _damaged(f"there is no format {stored}")
    if msgspec.json.encode(manifest) + b"\n" != data:
        raise _damaged("it is not written as manifests are")
    return manifest


def _from_hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise _damaged("its MAC is no hexadecimal number") from error


def _damaged(why: str) -> ConfigError:
    return ConfigError(
        f"wanted the manifest of a snapshot, got one that was damaged or changed ({why}); use "
        "another snapshot, or that of another node"
    )
