"""Resealing at the start: rewrites every stored pair as the settings of its namespace ask for.

It runs if the store's note of its format (`vault.py`) is missing or differs from the settings, as
after a namespace's encryption was turned on or off. The node serves nothing meanwhile. A crash does
no harm: pairs that are resealed already are recognized, and both forms open to the same record.

Afterwards the journal is emptied into the store; its entries are newer than all stored pairs. Old
forms remain in the engine's files until these are compacted, so the whole store is compacted at the
end.
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
    """A store that can be compacted."""

    def compact(self) -> None:
        """Rewrite all files, so that replaced pairs are gone from them. Blocks."""


def stored_format(note: bytes | None) -> StoredFormat | None:
    """The format noted, if any. Raises ConfigError if that is damaged or not the present one."""
    if note is None:
        return None
    try:
        found = msgspec.json.decode(note, type=StoredFormat)
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"The store's note of its format is damaged: {error}. Restore the node from a "
            "snapshot, or start on an empty directory and let the other nodes fill it."
        ) from error
    if found.format != FORMAT:
        raise ConfigError(
            f"The data has format {found.format}, and this version of kvorum uses format {FORMAT} "
            "only. Start the node with the kvorum that wrote it."
        )
    return found


class Resealing:
    """One run of resealing. `resealed` counts the pairs that it has rewritten.

    `done(error)` is called when every pair is rewritten and the format is noted.
    `empty_journal(done)` is called when every pair outside of the journal is rewritten.
    """

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
        """Begin. Nothing else may use the store until `done`. Raises ConfigError."""
        stored = self._stored = stored_format(self._store.get(NOTE))
        if stored == self._vault.present_format:
            self._done(None)
        else:
            self._page()

    def _page(self) -> None:
        """Reseal the next pairs, and go on once they are durable."""
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
            return  # It is damaged, or of a dropped namespace: the scrubber deals with it.
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
        if self._stored is not None or self.resealed:  # else the store is new
            self._store.compact()
        self._note()

    def _note(self) -> None:
        note = msgspec.json.encode(self._vault.present_format)
        self._store.write(NOTE, note)
        self._store.sync(self._noted, None)

    def _noted(self, _arg: object, error: StorageError | None) -> None:
        self._done(error)
