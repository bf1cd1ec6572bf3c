"""The security catalog of a data directory.

    DIR/security.json    {"format": 1, "check": XXH3-64 of the digit 1 and the entries' bytes in
                          hex, "entries": [...]}

It holds digests of tokens and what is kept of passwords, so nobody else may read it (0600). A
change is in force on this node when this file is durable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import xxhash

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.security_catalog import SecurityCatalog, SecurityEntry, check_entries
from kvorum.model.topology import naming
from kvorum.storage import durable_file

SECURITY: Final = "security.json"
FORMAT: Final = 1
FILE_BYTES_MAX: Final = 64 << 20

Written = Callable[[StorageError | None], object]


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
                f"The tokens, users and roles in {self.path} cannot be read: {error.strerror}. "
                "Make it a file that this user may read."
            ) from error
        with naming(str(self.path)):
            return _decoded(data)

    def write(self, catalog: SecurityCatalog) -> None:
        """Replace it, durably. Raises StorageError: then it holds the old catalog or the new one.

        Waits for the disk.
        """
        try:
            durable_file.replace(self.path, _encoded(catalog))
        except OSError as error:
            raise StorageError(
                f"{self.path} cannot be written: {error.strerror or error}. Make room on the disk, "
                "and see that this user may write there.",
                outcome="unknown",
            ) from error


class SecurityKeeper:
    """Keeps the catalog in a file, which is written in a thread. `catalog`: as the last run of the
    node has left it.
    """

    def __init__(self, file: SecurityFile, hand_over: Callable[..., object]) -> None:
        """`hand_over(callback, argument)` has the loop call back; it may be called from a thread.
        Raises ConfigError if the file is damaged.
        """
        self.catalog = file.read() or SecurityCatalog()
        self._file = file
        self._hand_over = hand_over
        self._thread: threading.Thread | None = None

    def write(self, catalog: SecurityCatalog, written: Written) -> None:
        """`written` when it is durable, or cannot be. The next one may be written from then on."""
        self.close()
        self._thread = threading.Thread(
            target=self._write, args=(catalog, written), name="kvorum-security", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Wait until what is being written is durable."""
        if self._thread is not None:
            self._thread.join()

    def _write(self, catalog: SecurityCatalog, written: Written) -> None:
        try:
            self._file.write(catalog)
        except StorageError as error:
            self._hand_over(written, error)
        else:
            self._hand_over(written, None)


def _encoded(catalog: SecurityCatalog) -> bytes:
    entries = msgspec.json.encode(list(catalog.entries.values()))
    return msgspec.json.encode(_File(FORMAT, _check(entries), msgspec.Raw(entries))) + b"\n"


def _decoded(data: bytes) -> SecurityCatalog:
    if len(data) > FILE_BYTES_MAX:
        raise _damaged(f"it has more than {FILE_BYTES_MAX} bytes")
    try:
        file = msgspec.json.decode(data, type=_File)
        if file.format != FORMAT:
            raise ConfigError(
                f"The tokens, users and roles have format {file.format}, and this kvorum uses "
                f"format {FORMAT} only. Start it with the kvorum that wrote them."
            )
        if _check(bytes(file.entries)) != file.check:
            raise _damaged("its check is wrong")
        entries = msgspec.json.decode(file.entries, type=list[SecurityEntry])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(str(error)) from error
    check_entries(entries)
    return SecurityCatalog(entries)


def _check(entries: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(str(FORMAT).encode() + entries)


def _damaged(why: str) -> ConfigError:
    return ConfigError(
        f"The tokens, users and roles of this node cannot be read ({why}). Remove the file if "
        "other nodes of the cluster run, and start this one: they give it theirs. Else put a copy "
        "of the file in its place."
    )
