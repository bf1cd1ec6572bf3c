"""How far an import has come, in a small file beside what it imports.

It names the place up to which every line has been dealt with, and a digest of the bytes at
the file's start and before that place, so that a file that has changed is not taken for the
one that was begun. It is replaced in one step, never half written.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Final

import msgspec

from kvorum.cli.entries.entry_lines import Place
from kvorum.model.errors import ConfigError

SUFFIX: Final = ".kvorum-import"
_SAMPLE_BYTES: Final = 64 * 1024


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is done: all lines before `offset`, with what came of them."""

    offset: int = 0
    line: int = 0
    stored: int = 0
    rejected: int = 0
    expired: int = 0

    @property
    def place(self) -> Place:
        return Place(self.offset, self.line)


class _Saved(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str | None
    digest: str
    progress: Progress


class Checkpoint:
    def __init__(self, path: Path, source: IO[bytes], namespace: str | None) -> None:
        self.path = path
        self._source = source
        self._namespace = namespace

    def exists(self) -> bool:
        return self.path.exists()

    def load(self) -> Progress:
        """Raises ConfigError if there is none, or not one of this file and namespace."""
        try:
            saved = msgspec.json.decode(self.path.read_bytes(), type=_Saved)
        except FileNotFoundError as error:
            raise ConfigError(
                f"wanted to resume from {self.path}, but there is none; start without --resume"
            ) from error
        except OSError as error:
            raise ConfigError(
                f"cannot read the checkpoint {self.path}: {error.strerror}; start without --resume"
            ) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"wanted the checkpoint of an import in {self.path}, got another file or a damaged "
                "one; name the right one by --checkpoint, or start without --resume"
            ) from error
        if saved.namespace != self._namespace:
            raise ConfigError(
                f"wanted the checkpoint of an import into namespace {self._namespace}, "
                f"got one into {saved.namespace}; start without --resume"
            )
        if saved.digest != self._digest(saved.progress.offset):
            raise ConfigError(
                f"the first {saved.progress.offset} bytes of the file, where {saved.progress.line} "
                f"lines were done, are not those that {self.path} was made for; start without "
                "--resume"
            )
        return saved.progress

    def save(self, progress: Progress) -> None:
        """Raises ConfigError if it cannot be written."""
        saved = _Saved(self._namespace, self._digest(progress.offset), progress)
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            part.write_bytes(msgspec.json.encode(saved))
            part.replace(self.path)
        except OSError as error:
            raise ConfigError(
                f"cannot write the checkpoint {self.path}: {error.strerror}; "
                "choose another place by --checkpoint"
            ) from error

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def _digest(self, offset: int) -> str:
        """Of the file up to `offset`, by its first and last bytes there."""
        count = min(_SAMPLE_BYTES, offset)
        source = self._source.fileno()
        first = os.pread(source, count, 0)
        last = os.pread(source, count, offset - count)
        return hashlib.blake2b(first + last, digest_size=16).hexdigest()
