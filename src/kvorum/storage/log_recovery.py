"""What earlier lives have left in the files of a log.

One entry is written at a time, the next only when it is durable. So an entry whose check holds
proves that all before it were durable, and only the newest can be torn, which then had not been
acknowledged. The newest sound entry of all files says which were needed when it was written:
from there on up to it none may be missing.

What cannot be told from the files is whether the newest entries themselves were lost, as if they
had never been written: a file that was removed, or cut short, behind the last sound entry leaves no
gap. After a stop in order the number of the newest one is known (`identity.py`). And a header is
durable before its file is there, so one that is damaged is a loss for certain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final

from kvorum.storage.log_file import Found, find_entries, read_salt, read_text, reading

_NAME: Final = re.compile(r"[1-9][0-9]{0,8}\.log")
_DRAFT: Final = re.compile(r"[0-9]+\.log\.new")


class StoredFile:
    """`last` is the number of the newest entry in it, 0 if there is none."""

    __slots__ = ("last", "path", "salt")

    def __init__(self, path: Path, salt: int, last: int = 0) -> None:
        self.path = path
        self.salt = salt
        self.last = last


Place = tuple[StoredFile, Found]


class Recovered:
    """`entries` and `marks` are those that are needed, oldest first."""

    __slots__ = ("damaged", "entries", "files", "marks", "needed", "newest", "wrong")

    def __init__(self, directory: Path) -> None:
        """Raises OSError, or StorageError if the files are not for this program."""
        self.files: list[StoredFile] = []
        self.damaged: list[Path] = []
        """Those whose entries cannot be read, as the header is gone."""
        places = dict(self._read(directory))
        self.newest: Place | None = places[max(places)] if places else None
        self.needed = 1 if self.newest is None else self.newest[1].needed
        needed = [places[number] for number in sorted(places) if number >= self.needed]
        self.entries = [place for place in needed if place[1].length]
        self.marks = [found.number for _, found in needed if not found.length]
        self.wrong = self._missing(found.number for _, found in needed)
        if self.damaged and self.wrong is None:
            names = ", ".join(path.name for path in self.damaged)
            self.wrong = f"what {names} held cannot be read, as the header is damaged"

    def _read(self, directory: Path) -> Iterator[tuple[int, Place]]:
        for path in _log_files(directory):
            with reading(path) as descriptor:
                salt = read_salt(descriptor, path)
                if salt is None:
                    self.damaged.append(path)
                    continue
                file = StoredFile(path, salt)
                self.files.append(file)
                for found in find_entries(descriptor, salt):
                    file.last = max(file.last, found.number)
                    yield found.number, (file, found)

    def _missing(self, numbers: Iterator[int]) -> str | None:
        wanted = self.needed
        for number in numbers:
            if number != wanted:
                return f"entries {wanted} to {number - 1} are missing"
            wanted += 1
        return None


def remove_drafts(directory: Path) -> None:
    """What a crash has left of files that were being made."""
    for path in directory.iterdir():
        if _DRAFT.fullmatch(path.name):
            path.unlink()


def read_entries(places: list[Place]) -> Iterator[tuple[int, bytes]]:
    """Number and text of each. Raises OSError, or CorruptRecord if one has changed since."""
    for file, group in groupby(places, key=itemgetter(0)):
        with reading(file.path) as descriptor:
            for _, found in group:
                yield found.number, read_text(descriptor, file.salt, found)


def _log_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
