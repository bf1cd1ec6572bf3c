"""Resealing at start: every stored pair is brought into the form that the settings ask for.

It runs where the store's note of its format (`vault.py`) is missing, or says that a namespace's
encryption has been turned on or off since. The node serves nothing meanwhile. A crash is no harm:
what is done is recognized, and both forms of a record open to the same one.

After that the journal is emptied, whose entries are newer than all that is stored otherwise. What
an old form leaves behind in the engine's files is gone only when they are compacted; so the whole
store is, at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from kvorum.model.errors import ConfigError, CorruptRecord, StorageError
from kvorum.model.prefixes import HINT, HINTS_END, RECORD, RECORDS_END
from kvorum.sealing.vault import FORMAT, NOTE, StoredFormat, Vault
from kvorum.storage.store import FlushTarget

_PAGE: Final = 256
_RANGES: Final = ((RECORD, RECORDS_END), (HINT, HINTS_END))

Done = Callable[[StorageError | None], object]


class CompactingStore(FlushTarget, Protocol):
    def compact(self) -> None:
        """Rewrite all files, so that what has been replaced is gone from them. Blocks."""


def stored_format(note: bytes | None) -> StoredFormat | None:
    """What a store's note says of it; None without a note. Raises ConfigError if it is another
    format than the present one.
    """
    if note is None:
        return None
    try:
        found = msgspec.json.decode(note, type=StoredFormat)
    except msgspec.DecodeError as error:
        raise ConfigError(f"The note of the data's format is damaged: {error}.") from error
    if found.format != FORMAT:
        raise ConfigError(
            f"The data has format {found.format}, and this kvorum uses format {FORMAT} only. Use "
            "the kvorum that wrote it."
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
        stored = self._stored = stored_format(self._store.get(NOTE))
        if stored == self._vault.wanted_format:
            self._done(None)
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
            key, data = self._vault.seal.open(stored_key, value)
            new_key, sealed = self._vault.seal.seal(key, data)
        except (CorruptRecord, KeyError):
            return  # Damaged, or of a namespace that is gone: left for those whose job that is.
        if new_key == stored_key and sealed[:1] == value[:1]:
            return
        self.resealed += 1
        self._store.write(new_key, sealed)
        if new_key != stored_key:
            self._store.write(stored_key, None)

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
