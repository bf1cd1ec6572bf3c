"""Where snapshots lie, and which files one may have.

    DIR/snapshots/NAME/
        rocks/            the engine's files, as a checkpoint; most are hard links
        dictionaries/     copies, as are the three that follow
        keys.json
        catalog.json
        node.json
        manifest.json     last and durably: a directory without it is no snapshot

Hard links make snapshots incremental by nature: the engine never changes a sorted file, so one
that the store and ten snapshots share takes its room once. keys.json is copied because its
bytes are overwritten where it lies when a key leaves it (`sealing/keyring_file.py`).

Paths come from manifests, which anybody may have written: a path is one of the known files, or
a plain name in one of the known directories, and nothing else.
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
"""Of a node; a snapshot has none."""
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
    """Raises RequestError if no snapshot can be called `name`."""
    if _NAME.fullmatch(name) is None:
        raise RequestError(
            "wanted a snapshot's name of 1 to 64 characters from A-Z a-z 0-9 _ . - that begins "
            f"with a letter or digit, got {name[:80]!r}"
        )
    return name


def time_name(now_ms: int) -> str:
    """The name of a snapshot that was given none."""
    moment = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    return moment.strftime("%Y%m%dT%H%M%SZ")


def is_known_path(path: str) -> bool:
    """True if a snapshot may have a file at `path`; so it lies inside, whoever wrote `path`."""
    folder, slash, name = path.partition("/")
    if not slash:
        return path in FILES
    return folder in FOLDERS and _FILE_NAME.fullmatch(name) is not None


def snapshot_path(data_dir: Path, name: str) -> Path:
    return data_dir / SNAPSHOTS / check_name(name)


def existing(data_dir: Path, name: str) -> Path:
    """Raises NotFound if `data_dir` has no complete snapshot of that name."""
    path = snapshot_path(data_dir, name)
    if not (path / MANIFEST).is_file():
        known = ", ".join(complete_names(data_dir))
        others = f"There are: {known}" if known else "There are none"
        # Also told to clients, whom it does not concern where the data is.
        raise NotFound(f"No such snapshot: {name!r}. {others}.")
    return path


def complete_names(data_dir: Path) -> list[str]:
    return [path.name for path in _directories(data_dir) if (path / MANIFEST).is_file()]


def remove_incomplete(data_dir: Path) -> None:
    """Remove what a creation or deletion that was cut short has left."""
    for path in _directories(data_dir):
        if not (path / MANIFEST).exists():
            shutil.rmtree(path)


def remove(path: Path) -> None:
    """The manifest goes first, durably: what is left of a deletion cut short is no snapshot."""
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
            f"wanted the snapshots in {data_dir / SNAPSHOTS}, got: {error.strerror}; name a "
            "node's data directory that this user may read"
        ) from error
    return [
        path
        for path in found
        if _NAME.fullmatch(path.name) and not path.is_symlink() and path.is_dir()
    ]
