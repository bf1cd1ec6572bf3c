"""Where a restore is, on disk, so that one that is cut short can go on.

    {"snapshots": [MAC of each manifest], "done": base64 of the last place, "stored": count}

It belongs to just these snapshots: with any other the restore begins anew.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.storage import durable_file


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    snapshots: list[str]
    done: bytes
    stored: int


class RestorePosition:
    def __init__(self, path: Path, snapshots: list[str]) -> None:
        self.path = path
        self._snapshots = sorted(snapshots)

    def load(self) -> tuple[bytes, int]:
        """(the last place that is stored, how many records). Raises ConfigError."""
        try:
            saved = msgspec.json.decode(self.path.read_bytes(), type=_Saved)
        except FileNotFoundError as error:
            raise ConfigError(
                f"wanted {self.path}, which says how far the restore was, got none; leave out "
                "--resume"
            ) from error
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"wanted to read how far the restore was in {self.path}, got: {error}; leave out "
                "--resume"
            ) from error
        if saved.snapshots != self._snapshots:
            raise ConfigError(
                f"wanted the position of a restore of these snapshots in {self.path}, got that "
                "of others; leave out --resume"
            )
        return saved.done, saved.stored

    def save(self, done: bytes, stored: int) -> None:
        data = msgspec.json.encode(_Saved(self._snapshots, done, stored))
        try:
            durable_file.replace(self.path, data)
        except OSError as error:
            raise ConfigError(
                f"wanted to note in {self.path} how far the restore is, got: {error}; name "
                "another file with --position"
            ) from error

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
