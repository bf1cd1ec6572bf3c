"""The security catalog of a data directory.

    DIR/security.json    {"format": 1, "check": XXH3-64 of 1 and the entries' bytes in hex,
                          "entries": [...]}

It holds digests of tokens and what is kept of passwords, so nobody else may read it (0600).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry
from kvorum.storage import durable_file

SECURITY: Final = "security.json"
FORMAT: Final = 1
FILE_BYTES_MAX: Final = 512 << 20


class _File(msgspec.Struct, frozen=True):
    format: int
    check: str
    entries: msgspec.Raw


class SecurityFile:
    """Of the data directory `directory`; it need not be there yet. Only ever replaced whole."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / SECURITY

    def read(self) -> SecurityCatalog | None:
        data = self.path.read_bytes() if self.path.exists() else None
        if data is None:
            return None
        file = msgspec.json.decode(data, type=_File)
        return SecurityCatalog(msgspec.json.decode(file.entries, type=list[SecurityEntry]))

    def write(self, catalog: SecurityCatalog) -> None:
        entries = msgspec.json.encode(list(catalog.entries.values()))
        durable_file.replace(self.path, msgspec.json.encode(_File(1, "", msgspec.Raw(entries))))
