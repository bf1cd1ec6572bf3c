"""Reading the records of a snapshot, without changing its files.

The engine is opened read-only, and replays its log into memory. Records are decrypted, and come in
the order of the first eight bytes of their tokens. That order is the same on all nodes of a
cluster, so the records of several snapshots can be merged as they are read, although every node
stores them under pseudonyms of its own (`sealing/seal.py`).

A snapshot of data format 3 has entries of the journal, which hold what is newer than what is
flushed (`journal/former_entries.py`). They are read first, and take the place of the same keys'
records. Later ones have none: what the journal holds is flushed before the checkpoint.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from rocksdict import AccessType, Options, Rdict, ReadOptions

from kvorum.backup import layout
from kvorum.backup.manifest import Content
from kvorum.journal.entries import Entries, SealedEntries
from kvorum.journal.former_entries import END, START, number_of
from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.keys import split_storage_key
from kvorum.model.record import Record, decode, merge
from kvorum.sealing import quarantine
from kvorum.sealing.keyring import Keyring
from kvorum.sealing.master_key import MasterKeySource
from kvorum.sealing.seal import ENCRYPTED, is_named, is_record, visible_bytes
from kvorum.sealing.vault import Vault

_FIRST: Final = b"d"
_END: Final = b"e"


class FoundRecord(NamedTuple):
    """A record. `done`: the place up to which all records have been read, including this one."""

    done: bytes
    namespace: str
    key: str
    record: Record


class SnapshotReader:
    """The records of one verified snapshot."""

    def __init__(self, path: Path, content: Content, source: MasterKeySource) -> None:
        """Raises ConfigError or StorageError."""
        cluster = content.origin.cluster
        self._keyring = Keyring.open(path / layout.KEYS, cluster, source, (), 0)
        self._seal = Vault(self._keyring, path / layout.DICTIONARIES, cluster, {}).seal
        self._engine = _opened(path / layout.ROCKS)
        self._unread: set[bytes] = set()
        self._unread_entries = 0
        self._journaled_notes: dict[bytes, bytes | None] = {}
        self._journal = self._read_journal(SealedEntries(self._seal, cluster))

    @property
    def namespaces(self) -> set[str]:
        """The namespaces that may have records."""
        return {key.namespace for key in self._keyring.describe()}

    @property
    def damaged(self) -> int:
        """How many records have not opened so far, and entries of the journal."""
        return len(self._unread) + self._unread_entries

    @property
    def unread(self) -> set[bytes]:
        """The tokens of the records that have not opened so far, 8 bytes each."""
        return {_place(stored_key)[1:] for stored_key in self._unread}

    @property
    def has_gaps(self) -> bool:
        """True if an entry of the journal does not open: nobody knows what was in it."""
        return self._unread_entries > 0

    def close(self) -> None:
        """Close the files."""
        self._engine.close()

    def note(self, key: bytes) -> bytes | None:
        """The node's own, unencrypted note at `key`, if any. Raises StorageError."""
        return self.notes(key, key + b"\0").get(key)

    def notes(self, start: bytes, end: bytes) -> dict[bytes, bytes]:
        """All notes with start <= key < end. Raises StorageError."""
        found: dict[bytes, bytes | None] = dict(_pairs(self._engine, start, end))
        found |= {key: note for key, note in self._journaled_notes.items() if start <= key < end}
        return {key: note for key, note in found.items() if note is not None}

    def records(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes, Record]]:
        """(place, plain storage key, record) of all records whose place is after `after`. A place
        is the part of a stored key that all nodes share.
        """
        return heapq.merge(self._flushed(after), self._newer(after), key=itemgetter(0))

    def _flushed(self, after: bytes) -> Iterator[tuple[bytes, bytes, Record]]:
        for stored_key, sealed in _pairs(self._engine, max(_FIRST, after), _END):
            place = _place(stored_key)
            if place <= after:
                continue
            try:
                key, data = self._seal.open(stored_key, sealed)
                record = decode(key, data)
            except CorruptRecord:
                if not self._is_shredded(sealed):
                    self._unread.add(stored_key)
                continue
            if key not in self._journal:
                yield place, key, record

    def _newer(self, after: bytes) -> Iterator[tuple[bytes, bytes, Record]]:
        for key in sorted(self._journal):
            data = self._journal[key]
            if data is not None and _place(key) > after:
                yield _place(key), key, decode(key, data)

    def _read_journal(self, entries: Entries) -> dict[bytes, bytes | None]:
        """The last that it says of each record; None where that was deleted."""
        changes: dict[bytes, bytes | None] = {}
        for key, entry in _pairs(self._engine, START, END):
            try:
                changes.update(entries.open(number_of(key), entry))
            except CorruptRecord:
                self._unread_entries += 1
        self._journaled_notes = {key: data for key, data in changes.items() if not is_named(key)}
        return {key: data for key, data in changes.items() if is_record(key)}

    def _is_shredded(self, sealed: bytes) -> bool:
        """True if its data key was shredded."""
        if len(sealed) < 3 or not sealed[0] & ENCRYPTED:
            return False
        return self._keyring.is_shredded(int.from_bytes(sealed[1:3]))


def known_damage(path: Path) -> int:
    """How many records were in quarantine when the snapshot in `path` was made.

    Raises StorageError.
    """
    engine = _opened(path / layout.ROCKS)
    try:
        return sum(1 for _ in _pairs(engine, quarantine.START, quarantine.END))
    finally:
        engine.close()


def merged(readers: Iterable[SnapshotReader], after: bytes = b"") -> Iterator[FoundRecord]:
    """The records of all snapshots with a place after `after`, those of each key merged into one.

    To resume, give the last `FoundRecord.done` as `after`.
    """
    done = after
    streams = [reader.records(after) for reader in readers]
    for place, found in groupby(heapq.merge(*streams, key=itemgetter(0)), itemgetter(0)):
        records: dict[bytes, Record] = {}
        for _, key, record in found:
            known = records.get(key)
            records[key] = record if known is None else merge(known, record)
        last = max(records)
        for key in sorted(records):
            done = place if key == last else done
            yield FoundRecord(done, *split_storage_key(key), records[key])


def _pairs(engine: Rdict, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    cursor = engine.iter(options)
    try:
        cursor.seek(start)
        while cursor.valid():
            yield cursor.key(), cursor.value()
            cursor.next()
        cursor.status()
    except Exception as error:
        raise StorageError(f"The snapshot's files cannot be read: {error}.") from error
    finally:
        del cursor  # a live one would keep the engine open


def _place(key: bytes) -> bytes:
    """The part of a plain or stored key that is the same on all nodes."""
    return key[: visible_bytes(key)]


def _opened(path: Path) -> Rdict:
    options = Options(raw_mode=True)
    try:
        return Rdict(
            str(path),
            options,
            column_families={"default": options},
            access_type=AccessType.read_only(),
        )
    except Exception as error:
        raise StorageError(f"The snapshot's files cannot be opened: {error}.") from error
