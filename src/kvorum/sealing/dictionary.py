"""The compression dictionaries of a data directory, in encrypted files.

    dictionaries/<namespace>-<serial>.dict

    0   1   format, 1
    1   8   XXH3-64 (big-endian) over what follows
    9   ..  the dictionary, sealed (encrypted and authenticated)

Serials count up within a namespace. The newest dictionary compresses; older ones are kept for the
records that were compressed with them. A record has one byte for the id of its dictionary: the
serial mapped to 1..255. An id that is still in use is skipped.

A dictionary consists of pieces of the namespace's values, so it is as secret as they are. It is
sealed with its namespace and serial as associated data, so a renamed file does not open. The
checksum tells a damaged file from a wrong key. A record cannot be read without its dictionary, so
a file is durable before its id is used, and replaced only to be sealed with another key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import xxhash

from kvorum.model.errors import StorageError
from kvorum.model.keys import is_namespace_name
from kvorum.storage.durable_file import draft_of, replace, sync_directory

DICTIONARY_BYTES_MAX: Final = 128 << 10
ID_MAX: Final = 255

_FORMAT: Final = b"\x01"
_CHECK_BYTES: Final = 8
_HEADER_BYTES: Final = len(_FORMAT) + _CHECK_BYTES
_FILE_BYTES_MAX: Final = DICTIONARY_BYTES_MAX + 1024
_FILE_NAME: Final = re.compile(r"(?P<namespace>.+)-(?P<serial>[1-9][0-9]{0,17})\.dict")

Sealing = Callable[[bytes, bytes], bytes]
"""(data, context) -> data: encrypts, or decrypts what was encrypted with the same context."""


class Dictionary(msgspec.Struct, frozen=True):
    """A compression dictionary. `id`: 1..255, unique in its namespace, in each record's header."""

    id: int
    data: bytes


class Dictionaries:
    """All dictionaries of a data directory. Each is read at first use, and kept in memory.

    `add`, all that remove, and `reseal` block until the disk has synced. Every method raises
    StorageError if a file cannot be read or written.
    """

    def __init__(self, path: Path, seal: Sealing, open_sealed: Sealing) -> None:
        """`path` is created if it does not exist."""
        self._path = path
        self._seal = seal
        self._open_sealed = open_sealed
        self._serials: dict[str, dict[int, int]] = {}
        self._read: dict[tuple[str, int], Dictionary] = {}
        try:
            self._find()
        except OSError as error:
            raise StorageError(
                f"The compression dictionaries in {path} cannot be read: {error}. Make it a "
                "directory that this user may write to."
            ) from error

    def current(self, namespace: str) -> Dictionary | None:
        """The newest dictionary of `namespace`, with which new records are compressed, if any."""
        serial = self._newest(namespace)
        return self.get(namespace, _id(serial)) if serial else None

    def ids(self, namespace: str) -> list[int]:
        """The ids of all its dictionaries, oldest first."""
        return [_id(serial) for serial in sorted(self._serials.get(namespace, {}).values())]

    def get(self, namespace: str, id: int) -> Dictionary:  # noqa: A002 - the field's own name
        """That dictionary. Raises StorageError if it is missing, damaged, or does not decrypt."""
        found = self._read.get((namespace, id))
        if found is None:
            found = self._read[namespace, id] = self._load(namespace, id)
        return found

    def add(self, namespace: str, data: bytes) -> Dictionary:
        """Store `data` durably as the newest dictionary of `namespace`; returns it."""
        if not is_namespace_name(namespace):
            raise ValueError(f"No namespace can be called {namespace!r}.")
        if not 0 < len(data) <= DICTIONARY_BYTES_MAX:
            raise ValueError(
                f"A dictionary has 1 to {DICTIONARY_BYTES_MAX} bytes, and this one {len(data)}."
            )
        serial = self._next_serial(namespace)
        self._store(namespace, serial, data)
        self._know(namespace, serial)
        made = self._read[namespace, _id(serial)] = Dictionary(_id(serial), data)
        return made

    def remove(self, namespace: str, id: int) -> None:  # noqa: A002
        """Delete a dictionary that, durably, no record uses. Its id may be used again."""
        serial = self._serial(namespace, id)
        try:
            self._file_of(namespace, serial).unlink(missing_ok=True)
            sync_directory(self._path)
        except OSError as error:
            raise StorageError(
                f"{_title(namespace, id)} cannot be removed: {error}. Look after the disk."
            ) from error
        del self._serials[namespace][id]
        self._read.pop((namespace, id), None)

    def remove_lost(self, namespace: str, is_lost: Callable[[bytes], bool]) -> None:
        """Delete the dictionaries with `is_lost(sealed data)`: their data key was destroyed."""
        for id_, serial in list(self._serials.get(namespace, {}).items()):
            title = _title(namespace, id_)
            if is_lost(_sealed_part(self._file_of(namespace, serial), title)):
                self.remove(namespace, id_)

    def remove_all(self, namespace: str) -> None:
        """Delete all dictionaries of `namespace`."""
        for id_ in self.ids(namespace):
            self.remove(namespace, id_)

    def reseal(self, namespace: str) -> None:
        """Seal all its dictionaries with the active data key, so that older keys can be retired."""
        for id_, serial in self._serials.get(namespace, {}).items():
            self._store(namespace, serial, self.get(namespace, id_).data)

    def _find(self) -> None:
        if not self._path.is_dir():
            self._path.mkdir(mode=0o700)
            sync_directory(self._path.parent)
        for file in self._path.iterdir():
            named = _FILE_NAME.fullmatch(file.name)
            if named is not None:
                self._know(named["namespace"], int(named["serial"]))
        # What a crash left of a draft was never used.
        for draft in self._path.glob(draft_of(Path("*.dict")).name):
            draft.unlink()

    def _know(self, namespace: str, serial: int) -> None:
        other = self._serials.setdefault(namespace, {}).setdefault(_id(serial), serial)
        if other != serial:
            raise StorageError(
                f"{_title(namespace, _id(serial))} has two files, {namespace}-{other}.dict and "
                f"{namespace}-{serial}.dict in {self._path}. Restore the directory from a copy."
            )

    def _newest(self, namespace: str) -> int:
        return max(self._serials.get(namespace, {}).values(), default=0)

    def _next_serial(self, namespace: str) -> int:
        taken = self._serials.get(namespace, {})
        following = self._newest(namespace) + 1
        for serial in range(following, following + ID_MAX):
            if _id(serial) not in taken:
                return serial
        raise StorageError(
            f"Namespace {namespace!r} has {ID_MAX} compression dictionaries, which is the most. "
            "Run a scrub, which removes those that no record uses."
        )

    def _serial(self, namespace: str, id_: int) -> int:
        serial = self._serials.get(namespace, {}).get(id_)
        if serial is None:
            raise _lost(f"{_title(namespace, id_)} is missing in {self._path}")
        return serial

    def _file_of(self, namespace: str, serial: int) -> Path:
        return self._path / f"{namespace}-{serial}.dict"

    def _store(self, namespace: str, serial: int, data: bytes) -> None:
        sealed = self._seal(data, _context(namespace, serial))
        try:
            file = self._file_of(namespace, serial)
            replace(file, _FORMAT + xxhash.xxh3_64_digest(sealed) + sealed)
        except OSError as error:
            raise StorageError(
                f"{_title(namespace, _id(serial))} cannot be written: {error}. Look after the disk."
            ) from error

    def _load(self, namespace: str, id_: int) -> Dictionary:
        serial = self._serial(namespace, id_)
        sealed = _sealed_part(self._file_of(namespace, serial), _title(namespace, id_))
        try:
            data = self._open_sealed(sealed, _context(namespace, serial))
        except StorageError as error:
            raise StorageError(
                f"{_title(namespace, id_)} cannot be decrypted: {error.message}"
            ) from error
        if not 0 < len(data) <= DICTIONARY_BYTES_MAX:
            raise _lost(f"{_title(namespace, id_)} is damaged: it has {len(data)} bytes")
        return Dictionary(id_, data)


def _id(serial: int) -> int:
    return (serial - 1) % ID_MAX + 1


def _context(namespace: str, serial: int) -> bytes:
    return b"dictionary\0" + namespace.encode() + b"\0" + serial.to_bytes(8, "big")


def _sealed_part(file: Path, title: str) -> bytes:
    """What follows a valid header. Reads no more of `file` than a dictionary can have."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise _lost(f"{title} is missing: there is no file {file}") from error
    except OSError as error:
        raise StorageError(f"{title} cannot be read: {error}. Look after the disk.") from error
    if len(content) > _FILE_BYTES_MAX:
        raise _lost(f"{title} is damaged: {file} has more than {_FILE_BYTES_MAX} bytes")
    if content[:1] > _FORMAT:
        raise StorageError(
            f"{title} has format {content[0]}, and this version of kvorum reads format "
            f"{_FORMAT[0]}. Start the node with the later kvorum that wrote it."
        )
    sealed = content[_HEADER_BYTES:]
    if content[:_HEADER_BYTES] != _FORMAT + xxhash.xxh3_64_digest(sealed):
        raise _lost(f"{title} is damaged: {file} does not match its checksum")
    return sealed


def _title(namespace: str, id_: int) -> str:
    return f"Compression dictionary {id_} of namespace {namespace!r}"


def _lost(what: str) -> StorageError:
    return StorageError(
        f"{what}. Restore the file from a copy of the data directory, or start on an empty "
        "directory and let the other nodes fill it."
    )
