"""Snapshots in the data directories that a command is told of."""

from __future__ import annotations

from pathlib import Path

from kvorum.backup import layout
from kvorum.model.errors import NotFound


def snapshot_in(data_dir: Path, name: str) -> Path:
    """Where it is. Raises NotFound, and says for which directory."""
    try:
        return layout.existing(data_dir, name)
    except NotFound as error:
        raise NotFound(f"{data_dir}: {error.message}") from error
