"""The security catalog of a data directory: tokens, users, roles and revoked certificates.

    DIR/security.json    {"format": 1, "check": XXH3-64 of the digit 1 and the entries' bytes in
                          hex, "entries": [...]}

Nobody but the node's user may read it. It is only ever replaced whole, so a crash leaves the
entries from before a change or those from after it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import xxhash
from msgspec import Meta

from kvorum.model.errors import ConfigError, StorageError
from kvorum.model.security_catalog import ENTRIES_MAX, SecurityCatalog, SecurityEntry, check_entry
from kvorum.storage import durable_file

FORMAT: Final = 1
FILE_BYTES_MAX: Final = 64 << 20
SECURITY: Final = "security.json"

Written = Callable[[StorageError | None], object]


class _File(msgspec.Struct, frozen=True):
    format: int
    check: str
    entries: msgspec.Raw


_ENTRIES: Final = msgspec.json.Decoder(
    Annotated[list[SecurityEntry], Meta(max_length=ENTRIES_MAX * 2)]
)


class SecurityFile:
    """Of the data directory `directory`."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / SECURITY

    def read(self) -> SecurityCatalog | None:
        """What it holds; None if there is no such file. Raises ConfigError if it cannot be read
        or is damaged.
        """
        try:
            with self.path.open("rb") as stream:
                data = stream.read(FILE_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(
                f"The list of tokens and users, {self.path}, cannot be read: {error.strerror}. "
                "Make it a file that this user may read."
            ) from error
        return self._decode(data)

    def write(self, catalog: SecurityCatalog) -> None:
        """Replace it, durably. Raises StorageError: then it holds the old catalog or the new one.

        Waits for the disk.
        """
        entries = msgspec.json.encode(list(catalog.entries.values()))
        data = msgspec.json.encode(_File(FORMAT, _check(entries), msgspec.Raw(entries))) + b"\n"
        try:
            durable_file.replace(self.path, data)
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
                    "only. Start it with the kvorum that wrote it."
                )
            raw = bytes(file.entries)
            if _check(raw) != file.check:
                raise self._damaged("its check is wrong")
            entries = _ENTRIES.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise self._damaged("it is not what kvorum writes") from error
        for entry in entries:
            try:
                check_entry(entry)
            except ConfigError as error:
                raise self._damaged(error.message) from error
        return SecurityCatalog(entries)

    def _damaged(self, why: str) -> ConfigError:
        return ConfigError(
            f"The list of tokens and users, {self.path}, is damaged: {why}. Put a copy of this "
            "node's file or of another node's in its place."
        )


class SecurityWriter:
    """Writes the file in a thread, one catalog at a time. `hand_over(callback, *args)` has the
    loop call back; it may be called from a thread.
    """

    def __init__(self, file: SecurityFile, hand_over: Callable[..., object]) -> None:
        self._file = file
        self._hand_over = hand_over
        self._thread: threading.Thread | None = None

    def write(self, catalog: SecurityCatalog, written: Written) -> None:
        """Make `catalog` durable, and have `written` called. Not to be called again before."""
        self._thread = threading.Thread(
            target=self._run, args=(catalog, written), name="kvorum-security", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Wait for the write that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, catalog: SecurityCatalog, written: Written) -> None:
        try:
            self._file.write(catalog)
        except StorageError as error:
            self._hand_over(written, error)
        else:
            self._hand_over(written, None)


def _check(entries: bytes) -> str:
    return xxhash.xxh3_64_hexdigest(str(FORMAT).encode() + entries)
