"""Resealing at start: every stored pair is brought into the form that the settings ask for.

It runs where the store's note of its format (`vault.py`) is missing or says something else:
after an upgrade from the first format, in which records lay in the store as they were, and
when a namespace's encryption is turned on or off. The node serves nothing meanwhile. A crash
is no harm: what is done is recognized, and both forms of a record open to the same one.

After that the journal is emptied, whose entries are newer than all that is stored otherwise.

A record of the first format is told by its own check, which binds it to the key it lies under,
and a note by being shorter than anything sealed. What an old form leaves behind in the engine's
files is gone only when they are compacted; so the whole store is, at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from kvorum.model.errors import ConfigError, CorruptRecord, StorageError
from kvorum.model.record import is_sound
from kvorum.sealing.seal import RECORD
from kvorum.sealing.vault import FORMAT, NOTE, StoredFormat, Vault
from kvorum.storage.store import FlushTarget, ReadableStore

_PAGE: Final = 256
_RANGES: Final = ((b"d", b"e"), (b"h", b"i"))
_PLAIN_NOTE_BYTES_MAX: Final = 16

Done = Callable[[StorageError | None], object]


class CompactingStore(FlushTarget, Protocol):
    def compact(self) -> None:
        """Rewrite all files, so that what has been replaced is gone from them. Blocks."""


def stored_format(store: ReadableStore) -> StoredFormat | None:
    """What the store says of itself; None if nothing. Raises ConfigError if it is a later one."""
    note = store.get(NOTE)
    if note is None:
        return None
    try:
        found = msgspec.json.decode(note, type=StoredFormat)
    except msgspec.DecodeError as error:
        raise ConfigError(f"wanted the format of the data, got a damaged note: {error}") from error
    if found.format > FORMAT:
        raise ConfigError(
            f"wanted data of format {FORMAT} at most, got format {found.format}; start it with "
            "the later kvorum that wrote it"
        )
    return found


class Resealing:
    """`done(error)` is called once every pair is in its present form, and that is noted.

    `empty_journal(done)` is called once every pair is that is not in the journal.
    """

    __slots__ = (
        "_cursor",
        "_done",
        "_empty_journal",
        "_ranges",
        "_store",
        "_stored",
        "_vault",
        "resealed",
    )

    def __init__(
        self,
        store: CompactingStore,
        vault: Vault,
        empty_journal: Callable[[Done], object],
        done: Done,
    ) -> None:
        self._store = store
        self._vault = vault
        self._empty_journal = empty_journal
        self._done = done
        self._ranges = list(_RANGES)
        self._stored: StoredFormat | None = None
        self._cursor = b""
        self.resealed = 0

    def start(self) -> None:
        """Nothing else may use the store until `done`."""
        stored = self._stored = stored_format(self._store)
        wanted = self._vault.wanted_format
        if stored == wanted:
            self._done(None)
        elif stored is not None and stored.open == wanted.open:
            self._note()  # of an earlier version, whose pairs look the same
        else:
            self._page()

    def _page(self) -> None:
        """Reseal the next pairs; go on once they are durable."""
        while self._ranges:
            start, end = self._ranges[0]
            pairs = self._store.scan(max(start, self._cursor), end, _PAGE)
            if len(pairs) < _PAGE:
                del self._ranges[0]
            if not pairs:
                continue
            self._cursor = pairs[-1][0] + b"\0"
            for stored_key, value in pairs:
                self._reseal(stored_key, value)
            self._store.sync(self._settled, None)
            return
        self._empty_journal(self._emptied)

    def _reseal(self, stored_key: bytes, value: bytes) -> None:
        try:
            key, data = self._plain(stored_key, value)
            new_key, sealed = self._vault.seal.seal(key, data)
        except (CorruptRecord, KeyError):
            return  # Damaged, or of a namespace that is gone: left for those whose job that is.
        if new_key == stored_key and sealed[:1] == value[:1]:
            return
        self.resealed += 1
        self._store.write(new_key, sealed)
        if new_key != stored_key:
            self._store.write(stored_key, None)

    def _plain(self, stored_key: bytes, value: bytes) -> tuple[bytes, bytes]:
        if stored_key[0] == RECORD:
            lies_plain = is_sound(stored_key, value)
        else:
            lies_plain = len(value) <= _PLAIN_NOTE_BYTES_MAX
        return (stored_key, value) if lies_plain else self._vault.seal.open(stored_key, value)

    def _settled(self, _arg: object, error: StorageError | None) -> None:
        if error is not None:
            self._done(error)
        else:
            self._page()

    def _emptied(self, error: StorageError | None) -> None:
        if error is not None:
            self._done(error)
            return
        if self._stored is not None or self.resealed:  # else it is new
            self._store.compact()
        self._note()

    def _note(self) -> None:
        note = msgspec.json.encode(self._vault.wanted_format)
        self._store.write(NOTE, note)
        self._store.sync(self._noted, None)

    def _noted(self, _arg: object, error: StorageError | None) -> None:
        self._done(error)
