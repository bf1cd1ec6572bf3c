"""Entries of the journal: the writes of one commit, sealed together.

    entry   sections, one behind the other:
            0   1  0x20 | 1: encrypted
            1   2  id of the data key           (if encrypted)
            ..  4  length of the text
            ..  n  the text; encrypted, its last 16 bytes are the tag, open, its last 8 a check

    text    writes in their order:
            0   2  length of the key
            2   4  length of the value and 1; 0 is a deletion
            6   .. plain key, value

All writes to one namespace are in one section, sealed with its data key: so who destroys the
key destroys what the journal holds of it. What lies open shares a section, and so do the notes
of the store's own. No key is in two sections, so the order of sections means nothing.

The nonce is `b"j"` and the entry's number. AES-GCM-SIV stays safe where one repeats
(`sealing/seal.py`): in a life after one whose last entries were lost. Header, nonce and the
cluster's name are authenticated with the text. An open section has an XXH3-64 of the same: it is
against bits that flip, which a record's own check is not where they make its key another one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, Protocol

import xxhash
from cryptography.exceptions import InvalidTag

from kvorum.journal.memtable import Change
from kvorum.model.errors import CorruptRecord
from kvorum.model.record import is_sound
from kvorum.sealing.seal import ENCRYPTED, FORMAT, Seal, ShreddedRecord, is_record, namespace_of

_NUMBERED: Final = b"j"
_OPEN: Final = bytes([FORMAT])
_NUMBER_BYTES: Final = 8
_NONCE_REST: Final = b"\0\0\0"
_LENGTHS: Final = struct.Struct(">HI")
_LENGTH_BYTES: Final = 4
_CHECK_BYTES: Final = 8


class Entries(Protocol):
    """What turns the writes of a commit into an entry of the journal, and back."""

    def seal(self, number: int, writes: list[Change]) -> bytes:
        """The entry of `writes`, to be appended under `number`. It is not empty."""

    def open(self, number: int, entry: bytes) -> list[Change]:
        """What the entry of that number has changed. Raises CorruptRecord."""


class OpenEntries:
    """Entries that are one open section without a check."""

    def seal(self, _number: int, writes: list[Change]) -> bytes:
        return _OPEN + _packed(writes)

    def open(self, _number: int, entry: bytes) -> list[Change]:
        try:
            if not entry.startswith(_OPEN):
                raise ValueError("It is no open section.")
            return _unpacked(entry[len(_OPEN) :])
        except (ValueError, struct.error) as error:
            raise _damaged("it makes no sense") from error


class SealedEntries:
    """Entries of sections, each sealed as its namespace is."""

    def __init__(self, seal: Seal, cluster: str) -> None:
        self._seal = seal
        self._aad = cluster.encode() + b"\0"

    def seal(self, number: int, writes: list[Change]) -> bytes:
        return b"".join(self._sections(_key(number), writes))

    def open(self, number: int, entry: bytes) -> list[Change]:
        key = _key(number)
        changes: list[Change] = []
        try:
            for header, text in _split(entry):
                changes += self._opened(key, header, text)
        except (IndexError, ValueError, struct.error) as error:
            raise _damaged("it makes no sense") from error
        return changes

    def _sections(self, key: bytes, writes: list[Change]) -> Iterator[bytes]:
        is_empty = True
        lie_open: list[Change] = []
        for namespace, share in _by_namespace(writes).items():
            part = self._seal.namespaces.get(namespace)
            if part is None and namespace:
                continue  # It was dropped: what comes late is not kept.
            data_key = None if part is None else part.manner.key
            if data_key is None:
                lie_open += share
                continue
            header = bytes([FORMAT | ENCRYPTED]) + data_key.id.to_bytes(2)
            nonce = key + _NONCE_REST
            text = data_key.cipher.encrypt(nonce, _packed(share), self._aad + header + key)
            is_empty = False
            yield header + len(text).to_bytes(_LENGTH_BYTES) + text
        if lie_open or is_empty:
            text = _packed(lie_open)
            text += self._check(key, text)
            yield bytes([FORMAT]) + len(text).to_bytes(_LENGTH_BYTES) + text

    def _check(self, key: bytes, text: bytes) -> bytes:
        """Of an open section."""
        check = xxhash.xxh3_64(self._aad + bytes([FORMAT]) + key)
        check.update(text)
        return check.digest()

    def _opened(self, key: bytes, header: bytes, text: bytes) -> list[Change]:
        if header[0] & ENCRYPTED:
            try:
                data_key = self._seal.key(int.from_bytes(header[1:]))
            except ShreddedRecord:
                return []
            try:
                text = data_key.cipher.decrypt(key + _NONCE_REST, text, self._aad + header + key)
            except InvalidTag as error:
                raise _damaged("it does not open with the key it names") from error
        else:
            text, check = text[:-_CHECK_BYTES], text[-_CHECK_BYTES:]
            if check != self._check(key, text):
                raise _damaged("it fails its check")
        changes = _unpacked(text)
        for name, data in changes:
            if is_record(name) and data is not None and not is_sound(name, data):
                raise _damaged("a record in it fails its check")
        return changes


def _key(number: int) -> bytes:
    return _NUMBERED + number.to_bytes(_NUMBER_BYTES)


def _by_namespace(writes: list[Change]) -> dict[bytes, list[Change]]:
    if len(writes) == 1:
        return {namespace_of(writes[0][0]): writes}
    shares: dict[bytes, list[Change]] = {}
    for write in writes:
        shares.setdefault(namespace_of(write[0]), []).append(write)
    return shares


def _packed(writes: list[Change]) -> bytes:
    pieces: list[bytes] = []
    pack = _LENGTHS.pack
    for key, value in writes:
        if value is None:
            pieces += (pack(len(key), 0), key)
        else:
            pieces += (pack(len(key), len(value) + 1), key, value)
    return b"".join(pieces)


def _unpacked(text: bytes) -> list[Change]:
    """Raises struct.error or ValueError if `text` is not whole."""
    changes: list[Change] = []
    at = 0
    while at < len(text):
        key_bytes, value_bytes = _LENGTHS.unpack_from(text, at)
        at += _LENGTHS.size
        key = text[at : at + key_bytes]
        at += key_bytes
        value = None
        if value_bytes:
            value = text[at : at + value_bytes - 1]
            at += value_bytes - 1
        changes.append((key, value))
    if at != len(text):
        raise ValueError("The last write is cut short.")
    return changes


def _split(entry: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(header, text) of each section. Raises IndexError or ValueError if `entry` is malformed."""
    at = 0
    while at < len(entry) or not at:
        size = 3 if entry[at] & ENCRYPTED else 1
        header = entry[at : at + size]
        if header[0] & ~ENCRYPTED != FORMAT:
            raise ValueError(f"A section has format {header[0]:#x}, and there is only {FORMAT:#x}.")
        at += size
        text_at = at + _LENGTH_BYTES
        at = text_at + int.from_bytes(entry[at:text_at])
        if at > len(entry):
            raise ValueError("The last section is cut short.")
        yield header, entry[text_at:at]


def _damaged(why: str) -> CorruptRecord:
    return CorruptRecord(f"An entry of the journal is damaged: {why}.")
