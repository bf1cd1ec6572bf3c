"""The layout of snapshots in a data directory, and the files that one may have.

    DIR/snapshots/NAME/
        rocks/            the engine's files, as a checkpoint; most are hard links
        dictionaries/     copies, as are the three that follow
        keys.json
        catalog.json
        node.json
        manifest.json     written last; a directory without it is not a snapshot

Hard links make snapshots incremental: the engine never changes a sorted file, so one that the store
and ten snapshots share takes its space once. keys.json is copied because it is overwritten in place
when a key is deleted (`sealing/keyring_file.py`).

Paths come from manifests, which anybody may have written. So only these files, and plain names in
these two directories, are valid.
"""

from __future__ import annotations

import datetime
import re
import shutil
from pathlib import Path
from typing import Final

from kvorum.model.errors import ConfigError, NotFound, RequestError
from kvorum.storage.durable_file import draft_of, sync_directory

SNAPSHOTS: Final = "snapshots"
MANIFEST: Final = "manifest.json"
ROCKS: Final = "rocks"
JOURNAL: Final = "journal"
"""Only a node has it; a snapshot has no journal."""
DICTIONARIES: Final = "dictionaries"
KEYS: Final = "keys.json"
NODE: Final = "node.json"
CATALOG: Final = "catalog.json"
"""The namespaces of the node. Not in snapshots that were made before nodes had it."""

FOLDERS: Final = (DICTIONARIES, ROCKS)
FILES: Final = (CATALOG, KEYS, NODE)

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def check_name(name: str) -> str:
    """`name`. Raises RequestError if it is not a valid name of a snapshot."""
    if _NAME.fullmatch(name) is None:
        raise RequestError(
            f"No snapshot can be named {name[:80]!r}. A name has 1 to 64 characters from A-Z a-z "
            "0-9 _ . - and begins with a letter or digit."
        )
    return name


def time_name(now_ms: int) -> str:
    """The name of a snapshot made at `now_ms`, if it is given none."""
    moment = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    return moment.strftime("%Y%m%dT%H%M%SZ")


def is_known_path(path: str) -> bool:
    """True if a snapshot may have a file at `path`, which is then inside of its directory."""
    folder, slash, name = path.partition("/")
    if not slash:
        return path in FILES
    return folder in FOLDERS and _FILE_NAME.fullmatch(name) is not None


def snapshot_path(data_dir: Path, name: str) -> Path:
    """The directory of the snapshot `name`. Raises RequestError if that is no valid name."""
    return data_dir / SNAPSHOTS / check_name(name)


def existing(data_dir: Path, name: str) -> Path:
    """The directory of the complete snapshot `name`. Raises NotFound, and RequestError."""
    path = snapshot_path(data_dir, name)
    if not (path / MANIFEST).is_file():
        known = ", ".join(complete_names(data_dir))
        others = f"There are: {known}" if known else "There are none"
        # The message is also shown to clients, who are not told where the data is.
        raise NotFound(f"No such snapshot: {name!r}. {others}.")
    return path


def complete_names(data_dir: Path) -> list[str]:
    """The names of all complete snapshots. Raises ConfigError if they cannot be listed."""
    return [path.name for path in _directories(data_dir) if (path / MANIFEST).is_file()]


def remove_incomplete(data_dir: Path) -> None:
    """Remove what interrupted creations and deletions have left."""
    for path in _directories(data_dir):
        if not (path / MANIFEST).exists():
            shutil.rmtree(path)


def remove(path: Path) -> None:
    """Delete a snapshot, the manifest first: what an interruption leaves is not a snapshot."""
    (path / MANIFEST).unlink()
    draft_of(path / MANIFEST).unlink(missing_ok=True)
    sync_directory(path)
    shutil.rmtree(path)
    sync_directory(path.parent)


def _directories(data_dir: Path) -> list[Path]:
    try:
        found = sorted((data_dir / SNAPSHOTS).iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(
            f"The snapshots in {data_dir / SNAPSHOTS} cannot be listed: {error.strerror}. Name a "
            "node's data directory that this user may read."
        ) from error
    return [
        path
        for path in found
        if _NAME.fullmatch(path.name) and not path.is_symlink() and path.is_dir()
    ]
