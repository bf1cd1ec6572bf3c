"""The compression dictionaries of a data directory: numbered, sealed, kept while used.

    dictionaries/<namespace>-<serial>.dict

    0   1   format, 1
    1   8   XXH3-64 (big-endian) over what follows
    9   ..  the dictionary, sealed

Serials count up in each namespace and the newest compresses; older ones stay for the records
that were compressed with them. A record has one byte for its dictionary, so its id is the serial
folded into 1..255, and an id whose file is still there is passed over.

A dictionary is made of pieces of the namespace's own values, so it is as secret as they are. It
is sealed with a context that names namespace and serial: a file under another's name does not
open. The check tells a damaged file from a wrong key. Without its dictionary a record cannot be
read again, so a file is durable before its id is given out, and replaced only to be sealed by
another key.
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
"""(data, context) -> data. The two of a pair undo each other for equal contexts only."""


class Dictionary(msgspec.Struct, frozen=True):
    """`id` is what records carry: 1..255, unique in the namespace among dictionaries that exist."""

    id: int
    data: bytes


class Dictionaries:
    """All dictionaries of a data directory. Read when first asked for, then kept in memory.

    `add`, `remove` and `seal_again` wait for the disk.
    """

    __slots__ = ("_open_sealed", "_path", "_read", "_seal", "_serials")

    def __init__(self, path: Path, seal: Sealing, open_sealed: Sealing) -> None:
        """`path` is made if it is not there."""
        self._path = path
        self._seal = seal
        self._open_sealed = open_sealed
        self._serials: dict[str, dict[int, int]] = {}
        self._read: dict[tuple[str, int], Dictionary] = {}
        try:
            self._find()
        except OSError as error:
            raise StorageError(
                f"wanted the compression dictionaries in {path}, got: {error}; make it a "
                "directory that this user may write to"
            ) from error

    def current(self, namespace: str) -> Dictionary | None:
        """The newest dictionary of `namespace`, which new records are to be compressed with."""
        serial = self._newest(namespace)
        return self.get(namespace, _id(serial)) if serial else None

    def ids(self, namespace: str) -> list[int]:
        """The ids of all its dictionaries, oldest first."""
        return [_id(serial) for serial in sorted(self._serials.get(namespace, {}).values())]

    def get(self, namespace: str, id: int) -> Dictionary:  # noqa: A002 - the field's own name
        """Raises StorageError if it is missing, damaged, or sealed by another key."""
        found = self._read.get((namespace, id))
        if found is None:
            found = self._read[namespace, id] = self._load(namespace, id)
        return found

    def add(self, namespace: str, data: bytes) -> Dictionary:
        """Keep `data` as the newest dictionary of `namespace`, durably, under a new id."""
        if not is_namespace_name(namespace):
            raise ValueError(f"wanted the name of a namespace, got {namespace!r}")
        if not 0 < len(data) <= DICTIONARY_BYTES_MAX:
            raise ValueError(
                f"wanted a dictionary of 1 to {DICTIONARY_BYTES_MAX} bytes, got {len(data)}"
            )
        serial = self._next_serial(namespace)
        self._store(namespace, serial, data)
        self._know(namespace, serial)
        made = self._read[namespace, _id(serial)] = Dictionary(_id(serial), data)
        return made

    def remove(self, namespace: str, id: int) -> None:  # noqa: A002
        """Forget a dictionary. Only when no record needs it, durably: its id may come again."""
        serial = self._serial(namespace, id)
        try:
            self._flush_some(namespace, serial).unlink(missing_ok=True)
            sync_directory(self._path)
        except OSError as error:
            raise StorageError(f"cannot remove {_title(namespace, id)}: {error}") from error
        del self._serials[namespace][id]
        self._read.pop((namespace, id), None)

    def remove_lost(self, namespace: str, is_lost: Callable[[bytes], bool]) -> None:
        """Remove those of which `is_lost(sealed data)`: the key that opens them is destroyed."""
        for id_, serial in list(self._serials.get(namespace, {}).items()):
            title = _title(namespace, id_)
            if is_lost(_sealed_part(self._flush_some(namespace, serial), title)):
                self.remove(namespace, id_)

    def remove_all(self, namespace: str) -> None:
        """Remove all dictionaries of `namespace`: none of its records is to be read again."""
        for id_ in self.ids(namespace):
            self.remove(namespace, id_)

    def seal_again(self, namespace: str) -> None:
        """Seal all its dictionaries with the key that is current now, so an older one can go."""
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
                f"wanted one file for {_title(namespace, _id(serial))}, got "
                f"{self._flush_some(namespace, other)} and {self._flush_some(namespace, serial)}; "
                "restore the directory as it was"
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
            f"wanted another compression dictionary for namespace {namespace!r}, got all "
            f"{ID_MAX} ids in use; rewrite old records with the newest dictionary first"
        )

    def _serial(self, namespace: str, id_: int) -> int:
        serial = self._serials.get(namespace, {}).get(id_)
        if serial is None:
            raise _lost("missing", _title(namespace, id_), f"none of that id in {self._path}")
        return serial

    def _flush_some(self, namespace: str, serial: int) -> Path:
        return self._path / f"{namespace}-{serial}.dict"

    def _store(self, namespace: str, serial: int, data: bytes) -> None:
        sealed = self._seal(data, _context(namespace, serial))
        try:
            replace(
                self._flush_some(namespace, serial),
                _FORMAT + xxhash.xxh3_64_digest(sealed) + sealed,
            )
        except OSError as error:
            raise StorageError(f"cannot write {_title(namespace, _id(serial))}: {error}") from error

    def _load(self, namespace: str, id_: int) -> Dictionary:
        serial = self._serial(namespace, id_)
        sealed = _sealed_part(self._flush_some(namespace, serial), _title(namespace, id_))
        try:
            data = self._open_sealed(sealed, _context(namespace, serial))
        except StorageError as error:
            raise StorageError(f"cannot open {_title(namespace, id_)}: {error.message}") from error
        if not 0 < len(data) <= DICTIONARY_BYTES_MAX:
            raise _lost("damaged", _title(namespace, id_), f"it is {len(data)} bytes long")
        return Dictionary(id_, data)


def _id(serial: int) -> int:
    return (serial - 1) % ID_MAX + 1


def _context(namespace: str, serial: int) -> bytes:
    return b"dictionary\0" + namespace.encode() + b"\0" + serial.to_bytes(8, "big")


def _sealed_part(file: Path, title: str) -> bytes:
    """What stands behind a sound header. Reads no more of `file` than a dictionary can be."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise _lost("missing", title, f"no file {file}") from error
    except OSError as error:
        raise StorageError(f"cannot read {title}: {error}") from error
    if len(content) > _FILE_BYTES_MAX:
        raise _lost("damaged", title, f"{file} has more than {_FILE_BYTES_MAX} bytes")
    if content[:1] > _FORMAT:
        raise StorageError(
            f"wanted format {_FORMAT[0]} of {title}, got {content[0]}; "
            "start it with the later kvorum that wrote it"
        )
    sealed = content[_HEADER_BYTES:]
    if content[:_HEADER_BYTES] != _FORMAT + xxhash.xxh3_64_digest(sealed):
        raise _lost("damaged", title, f"{file} fails its check")
    return sealed


def _title(namespace: str, id_: int) -> str:
    return f"compression dictionary {id_} of namespace {namespace!r}"


def _lost(how: str, title: str, what: str) -> StorageError:
    return StorageError(
        f"{how} {title}: {what}; restore the file from a copy of the data directory, or start "
        "on an empty data directory and let the node be repaired from the others"
    )
