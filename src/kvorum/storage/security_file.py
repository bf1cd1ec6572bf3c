"""The security catalog of a data directory: tokens, users, roles, revoked certificates.

    DIR/security.json    {"format": 1, "check": XXH3-64 of 1 and the entries' bytes in hex,
                          "entries": [[kind, name, stamp, origin, value or null], ...]}

It holds digests of tokens and what is kept of passwords, so nobody else may read it (0600). A
change counts when this file is durable. A damaged file is refused: a catalog that has forgotten
what was revoked would let it in again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import xxhash

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry, id_of_value
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
        """What it holds; None if there is no such file. Raises ConfigError if it is damaged."""
        try:
            with self.path.open("rb") as stream:
                data = stream.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"The node's tokens and users, {self.path}, cannot be read: {error.strerror}. Make "
                "it a file that this user may read."
            ) from error
        return self._decode(data)

    def write(self, catalog: SecurityCatalog) -> None:
        """Replace it, durably. Raises StorageError: then it holds the old catalog or the new one.

        Waits for the disk.
        """
        entries = msgspec.json.encode(list(catalog.entries.values()))
        data = msgspec.json.encode(_File(FORMAT, _check(entries), msgspec.Raw(entries)))
        try:
            durable_file.replace(self.path, data + b"\n")
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror or error}. Make room on the disk, "
                "and see that this user may write there.",
                outcome="unknown",
            ) from error

    def _decode(self, data: bytes) -> SecurityCatalog:
        if len(data) > FILE_BYTES_MAX:
            raise self._damaged(f"it has more than {FILE_BYTES_MAX} bytes")
        try:
            file = msgspec.json.decode(data, type=_File)
            if file.format != FORMAT:
                raise ConfigError(
                    f"{self.path} has format {file.format}, and this kvorum uses format {FORMAT} "
                    "only. Start the node with the kvorum that wrote it."
                )
            if _check(bytes(file.entries)) != file.check:
                raise self._damaged("its check is wrong")
            entries = msgspec.json.decode(file.entries, type=list[SecurityEntry])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._damaged(str(error)) from error
        for entry in entries:
            if entry.value is not None and id_of_value(entry.value) != entry.id:
                raise self._damaged(f"the {entry.kind} {entry.name!r} is another one")
        return SecurityCatalog(entries)

    def _damaged(self, why: str) -> ConfigError:
        return ConfigError(
            f"The node's tokens and users, {self.path}, cannot be read ({why}). Put a copy of this "
            "file from another node in its place, or delete it: then the node gets it from the "
            "others."
        )


def _check(entries: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(str(FORMAT).encode() + entries)
