"""Where a restore is, on disk, so that one that is cut short can go on.

    {"task": {...}, "done": base64 of the last place, "stored": count}

It belongs to just this task. What a restore of other snapshots, into another cluster, or of
another namespace has stored says nothing of this one, and going on behind it would leave out
the rest unseen. So it is forgotten as soon as a restore begins anew.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from kvorum.model.errors import ConfigError
from kvorum.storage import durable_file


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`snapshots`: the MAC of each manifest, sorted. `cluster`: its name, and its addresses."""

    snapshots: list[str]
    cluster: list[str]
    namespace: str | None
    renew: bool


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    task: Task
    done: bytes
    stored: int


class RestorePosition:
    def __init__(self, path: Path, task: Task) -> None:
        self.path = path
        self._task = task

    def begin(self, *, resume: bool) -> tuple[bytes, int]:
        """(the last place that is stored, how many records). Raises ConfigError."""
        if resume:
            return self._load()
        self.remove()
        return b"", 0

    def save(self, done: bytes, stored: int) -> None:
        data = msgspec.json.encode(_Saved(self._task, done, stored))
        try:
            durable_file.replace(self.path, data)
        except OSError as error:
            raise self._not_written(error) from error

    def remove(self) -> None:
        try:
            self.path.unlink()
            durable_file.sync_directory(self.path.parent)
        except FileNotFoundError:
            return  # nothing was noted yet
        except OSError as error:
            raise self._not_written(error) from error

    def _load(self) -> tuple[bytes, int]:
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
        self._check(saved.task)
        return saved.done, saved.stored

    def _check(self, found: Task) -> None:
        if found.snapshots != self._task.snapshots:
            raise ConfigError(
                f"wanted the position of a restore of these snapshots in {self.path}, got that "
                "of others; leave out --resume"
            )
        if found.cluster != self._task.cluster:
            raise ConfigError(
                f"wanted the position of a restore into {_named(self._task)} in {self.path}, got "
                f"that of one into another cluster, {_named(found)}; leave out --resume"
            )
        if found != self._task:
            raise ConfigError(
                f"wanted the position of this restore in {self.path}, got that of one with "
                f"{_options(found)}; resume it in the same way, or leave out --resume"
            )

    def _not_written(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"wanted to note in {self.path} how far the restore is, got: {error}; name "
            "another file with --position"
        )


def _named(task: Task) -> str:
    return " ".join(task.cluster)


def _options(task: Task) -> str:
    namespace = "no --namespace" if task.namespace is None else f"--namespace {task.namespace}"
    return f"{namespace} and {'--renew' if task.renew else 'no --renew'}"
