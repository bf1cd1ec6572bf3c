"""How far bulk work is, in a file, so that work that is cut short can be taken up there.

    {"task": {...}, "source": "<digest>", "done": {"place": [offset, line], "stored": 7, ...}}

It belongs to one task and one source. What another import or restore has stored says nothing of
this one, and going on behind it would leave out the rest unseen. So it is forgotten as soon as the
same is begun anew. It is replaced in one step, never half written.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from kvorum.cli.bulk.items import Place
from kvorum.cli.bulk.pipeline import Progress
from kvorum.model.errors import ConfigError
from kvorum.storage import durable_file

_ANEW: Final = "leave out --resume to begin anew"


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done ("an import" of "lines", "a restore" of "records"), with which options, and into
    which cluster (its name and its addresses), if that is known."""

    what: str
    unit: str
    options: list[str]
    cluster: list[str] = []


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds. `source`: a digest of what has been read."""

    task: Task
    source: str
    done: Progress


class PositionFile:
    """The position of one task in the file at `path`, which the user can choose by `option`. What
    is read up to a place is known by `digest_at(place)`."""

    def __init__(
        self, path: Path, task: Task, digest_at: Callable[[Place], str], option: str
    ) -> None:
        self.path = path
        self.unit = task.unit
        self._task = task
        self._digest_at = digest_at
        self._option = option

    def exists(self) -> bool:
        """True if something has been saved."""
        return self.path.exists()

    def begin(self, *, resume: bool) -> Progress:
        """What is done already; without `resume` nothing, and the file is removed. Raises
        ConfigError if there is none to resume from, or it is another task's or source's."""
        if not resume:
            self.remove()
            return Progress()
        position = self._read()
        self._check_task(position.task)
        if position.source != self._digest_at(position.done.place):
            raise ConfigError(
                f"{self.path} is the position of {self._task.what} from another source, or from "
                f"one that has changed since: {position.done.place.line} {self.unit} were done. "
                f"Name the same source, or {_ANEW}."
            )
        return position.done

    def save(self, done: Progress) -> None:
        """Durably. Raises ConfigError if it cannot be written."""
        position = Position(self._task, self._digest_at(done.place), done)
        try:
            durable_file.replace(self.path, msgspec.json.encode(position))
        except OSError as error:
            raise self._not_written(error) from error

    def remove(self) -> None:
        """Raises ConfigError if it is there and cannot be removed."""
        try:
            self.path.unlink()
            durable_file.sync_directory(self.path.parent)
        except FileNotFoundError:
            return  # nothing was noted yet
        except OSError as error:
            raise self._not_written(error) from error

    def _read(self) -> Position:
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Position)
        except FileNotFoundError as error:
            raise ConfigError(
                f"There is no position file {self.path}, which would say how far "
                f"{self._task.what} was. Name it with {self._option}, or {_ANEW}."
            ) from error
        except OSError as error:
            raise ConfigError(
                f"The position file {self.path} cannot be read: {error.strerror}. Mend that, or "
                f"{_ANEW}."
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._foreign() from error

    def _check_task(self, found: Task) -> None:
        """Raises ConfigError."""
        task = self._task
        if found.what != task.what:
            raise self._foreign()
        if found.cluster != task.cluster:
            raise ConfigError(
                f"{self.path} is the position of {found.what} into another cluster, "
                f"{' '.join(found.cluster)}, and not into {' '.join(task.cluster)}. Name that one "
                f"with --server, or {_ANEW}."
            )
        if found.options != task.options:
            raise ConfigError(
                f"{self.path} is the position of {found.what} with {' and '.join(found.options)}. "
                f"Resume it in the same way, or {_ANEW}."
            )

    def _foreign(self) -> ConfigError:
        return ConfigError(
            f"{self.path} is not the position of {self._task.what}, or it is damaged. Name the "
            f"right file with {self._option}, or {_ANEW}."
        )

    def _not_written(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"How far {self._task.what} is cannot be saved in {self.path}: {error.strerror}. Name "
            f"another file with {self._option}."
        )
