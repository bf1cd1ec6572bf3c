"""The certificate files of one node or client, and when they have changed.

ca.crt      the authorities that are trusted: PEM, several while they are being replaced
NAME.crt    the certificate
NAME.key    its key, readable by its owner only
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kvorum.model.errors import ConfigError

Seen = tuple[tuple[int, int, int], ...]
"""What told the files apart when they were read: inode, size and time of the last change."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Those of `name` in `directory`."""

    directory: Path
    name: str

    @property
    def authority(self) -> Path:
        """The certificates of the authorities."""
        return self.directory / "ca.crt"

    @property
    def certificate(self) -> Path:
        """The certificate of `name`."""
        return self.directory / f"{self.name}.crt"

    @property
    def key(self) -> Path:
        """The private key of `name`."""
        return self.directory / f"{self.name}.key"

    def seen(self) -> Seen:
        """Changes when one of the files does. Raises ConfigError if one is missing."""
        return tuple(_seen(path) for path in (self.authority, self.certificate, self.key))

    def check_secrecy(self) -> None:
        """Raises ConfigError if others than its owner may read the key."""
        if stat.S_IMODE(_stat(self.key).st_mode) & 0o077:
            raise ConfigError(
                f"The key {self.key} may be read by other users. Allow it to its owner only: "
                f"chmod 600 {self.key}"
            )


def _seen(path: Path) -> tuple[int, int, int]:
    found = _stat(path)
    return found.st_ino, found.st_size, found.st_mtime_ns


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise ConfigError(
            f"The file {path} cannot be read: {error.strerror or error}. Issue the certificate "
            "with `kvorum certs issue`, or name the directory that has it."
        ) from error
