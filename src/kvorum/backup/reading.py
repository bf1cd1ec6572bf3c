"""Reading the records of a snapshot, without changing its files.

The engine is opened read-only: what its log holds is replayed into memory. Records come out
plain, in the order of tokens, those of one token's first eight bytes together. That order is the
same for all nodes of a cluster, and so the records of several snapshots can be merged as they
are read, although every node stores them under names of its own (`sealing/seal.py`). What the
journal held is among them: it was flushed before the checkpoint.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from rocksdict import AccessType, Options, Rdict, ReadOptions

from kvorum.backup import layout
from kvorum.backup.manifest import Content
from kvorum.model.errors import CorruptRecord, KvorumError, StorageError
from kvorum.model.keys import split_storage_key
from kvorum.model.prefixes import RECORD, RECORDS_END
from kvorum.model.record import Record, decode, merge
from kvorum.sealing import quarantine, vault
from kvorum.sealing.keyring import Keyring
from kvorum.sealing.master_key import MasterKeySource
from kvorum.sealing.resealing import stored_format
from kvorum.sealing.seal import ENCRYPTED, visible_bytes


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
        self._seal = vault.Vault(self._keyring, path / layout.DICTIONARIES, cluster, {}).seal
        self._engine = _opened(path / layout.ROCKS)
        self._unread: set[bytes] = set()
        try:
            stored_format(self.note(vault.NOTE))
        except KvorumError:
            self.close()
            raise

    @property
    def namespaces(self) -> set[str]:
        """The namespaces that may have records."""
        return {key.namespace for key in self._keyring.describe()}

    @property
    def damaged(self) -> int:
        """How many records have not opened so far."""
        return len(self._unread)

    @property
    def unread(self) -> set[bytes]:
        """The tokens of the records that have not opened so far, 8 bytes each."""
        return {_place(stored_key)[1:] for stored_key in self._unread}

    def close(self) -> None:
        """Close the files."""
        self._engine.close()

    def note(self, key: bytes) -> bytes | None:
        """The node's own, unencrypted note at `key`, if any. Raises StorageError."""
        return self.notes(key, key + b"\0").get(key)

    def notes(self, start: bytes, end: bytes) -> dict[bytes, bytes]:
        """All notes with start <= key < end. Raises StorageError."""
        return dict(_pairs(self._engine, start, end))

    def records(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes, Record]]:
        """(place, plain storage key, record) of all whose place is after `after`."""
        for stored_key, sealed in _pairs(self._engine, max(RECORD, after), RECORDS_END):
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
            yield place, key, record

    def _is_shredded(self, sealed: bytes) -> bool:
        """True if its data key was shredded."""
        if len(sealed) < 3 or not sealed[0] & ENCRYPTED:
            return False
        return self._keyring.is_shredded(int.from_bytes(sealed[1:3]))


def known_damage(path: Path) -> int:
    """How many records were in quarantine at the snapshot in `path`. Raises StorageError."""
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
