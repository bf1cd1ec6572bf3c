"""What somebody who runs a node decides about its audit log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from kvorum.model.audit_level import AuditLevel
from kvorum.model.errors import ConfigError

FILE_BYTES: Final = 64 << 20
FILES: Final = 16
_FILES_MIN: Final = 2


class ShownKeys(StrEnum):
    """How the log shows the keys of entries."""

    PLAIN = "plain"
    HASHED = "hashed"
    """As a hash under a key of the directory's own: equal keys have equal hashes."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSettings:
    """What an audit log holds, and how much room it takes: `files` of `file_bytes` at most, and the
    last batch of a file beyond that. Raises ConfigError for sizes that cannot be.
    """

    level: AuditLevel = AuditLevel.ADMIN
    keys: ShownKeys = ShownKeys.PLAIN
    file_bytes: int = FILE_BYTES
    files: int = FILES

    def __post_init__(self) -> None:
        if self.file_bytes < 1:
            raise ConfigError(
                f"A file of the audit log cannot have {self.file_bytes} bytes. Give at least 1."
            )
        if self.files < _FILES_MIN:
            raise ConfigError(
                f"An audit log cannot keep {self.files} files: one is written while an older one "
                f"is removed. Give at least {_FILES_MIN}."
            )
