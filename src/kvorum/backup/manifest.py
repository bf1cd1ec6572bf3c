"""The manifest of a snapshot: what it is of, which files it has, and who vouches for that.

    {"format": 1, "master_key": id, "mac": 64 hex digits, "content": {...}}

The content has the size and the BLAKE2b digest of each file, and the master key of the node
vouches for it (`sealing/authenticated_document.py`). So whoever lacks that key can change
nothing unseen, neither the manifest nor any file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kvorum.backup.layout import MANIFEST, is_known_path
from kvorum.model.errors import ConfigError
from kvorum.sealing.authenticated_document import AuthenticatedDocument, Kind
from kvorum.sealing.master_key import MasterKey
from kvorum.storage import durable_file

FORMAT: Final = 1
MANIFEST_BYTES_MAX: Final = 1 << 26


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


class Manifest(AuthenticatedDocument, frozen=True, forbid_unknown_fields=True):
    KIND = Kind(
        FORMAT,
        b"kvorum snapshot, format 1",
        wanted="the manifest of a snapshot",
        sealed="this snapshot",
        use_later="use the later kvorum that made it",
        remedy="use another snapshot, or that of another node",
    )

    body: msgspec.Raw = msgspec.field(name="content")

    def verified(self, master: MasterKey) -> Content:
        """Raises ConfigError if another master key made it, or if anybody has changed it."""
        self.proven(master)
        return self.claimed()

    def claimed(self) -> Content:
        """What it says of itself, unproven. Raises ConfigError if it cannot be true."""
        try:
            content = msgspec.json.decode(self.body, type=Content)
        except (msgspec.DecodeError, RecursionError) as error:
            raise self.damaged(str(error)) from error
        paths = [file.path for file in content.files]
        if len(set(paths)) < len(paths):
            raise self.damaged("it lists a file twice")
        for path in paths:
            if not is_known_path(path):
                raise self.damaged(f"no snapshot has a file {path[:200]!r}")
        return content


def write(path: Path, content: Content, master: MasterKey) -> None:
    """Make the directory `path`, whose files are durable, a snapshot."""
    durable_file.replace(path / MANIFEST, Manifest.sealed(content, master).encoded())


def read(path: Path) -> Manifest:
    """The manifest of the snapshot in `path`. Raises ConfigError."""
    file = path / MANIFEST
    try:
        return Manifest.read(file, MANIFEST_BYTES_MAX)
    except OSError as error:
        raise ConfigError(
            f"wanted a snapshot in {path}, got: {error.strerror}; name a complete snapshot"
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", **error.details) from error
