"""The manifest of a snapshot: its origin and its files, authenticated by the master key.

    {"format": 1, "master_key": id, "mac": 64 hex digits, "content": {...}}

The content has the size and the BLAKE2b digest of each file, and the MAC is by the node's master
key (`sealing/authenticated_document.py`). So without that key nobody can change the manifest or a
file unseen.
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
    """One file: its path in the snapshot, its size in bytes, and its digest."""

    path: str
    size: Annotated[int, Meta(ge=0)]
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


class Origin(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The node that the snapshot is of. `topology`: the cluster's, as TOML."""

    cluster: str
    node: str
    node_id: str
    epoch: int
    topology: str


class Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a manifest."""

    name: str
    created_ms: int
    origin: Origin
    files: tuple[SnapshotFile, ...]

    @property
    def size(self) -> int:
        """The sum of the files' sizes, in bytes."""
        return sum(file.size for file in self.files)


class Manifest(AuthenticatedDocument, frozen=True, forbid_unknown_fields=True):
    """A manifest as read from its file."""

    KIND = Kind(
        FORMAT,
        b"kvorum snapshot, format 1",
        title="The manifest of this snapshot",
        sealed="This snapshot",
        use_later="Use the later kvorum that made it.",
        remedy="Use another snapshot, or that of another node.",
    )

    body: msgspec.Raw = msgspec.field(name="content")

    def verified(self, master: MasterKey) -> Content:
        """The content. Raises ConfigError if its MAC is another master key's, or does not match."""
        self.proven(master)
        return self.claimed()

    def claimed(self) -> Content:
        """The content, with its MAC not checked. Raises ConfigError if it is not a valid one."""
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
    """Make the directory `path`, whose files are durable already, a snapshot."""
    durable_file.replace(path / MANIFEST, Manifest.sealed(content, master).encoded())


def read(path: Path) -> Manifest:
    """The manifest of the snapshot in `path`. Raises ConfigError."""
    file = path / MANIFEST
    try:
        return Manifest.read(file, MANIFEST_BYTES_MAX)
    except OSError as error:
        raise ConfigError(
            f"There is no complete snapshot in {path}: {error.strerror}. Name another directory."
        ) from error
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", **error.details) from error
