"""SealedStore: a FlushTarget that encrypts and decrypts, on top of one that sees no plain text.

    replication  ──plain──>  row cache, seal  ──sealed──>  RocksStore, disk

Above it there are plain keys and records that match their checksums, in the order of plain keys.
Below it, records and hints are stored under pseudonyms (`seal.py`). Both orders agree on the
visible part of a key, up to its token. Keys with the same token (one key in several namespaces, or
a collision) form a group, which is read as a whole and sorted here.

A stored record that does not open is damaged. A read of its key raises CorruptRecord. A scan leaves
it out, as its key is unknown, and calls `on_damaged`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.model.keys import token_range
from kvorum.sealing.quarantine import Quarantine
from kvorum.sealing.row_cache import RowCache
from kvorum.sealing.seal import (
    NOTE,
    RECORD,
    Seal,
    ShreddedRecord,
    is_named,
    is_record,
    visible_bytes,
)
from kvorum.storage.store import COLD, Cold, Done, FlushTarget, KeyRange

_PAST_ANY_NAME: Final = b"\xff" * 9
_GROUP_MAX: Final = 1 << 20

OnDamaged = Callable[[bytes, CorruptRecord], object]
"""(stored key of a pair that does not open, why)"""


class SealedStore:
    """The Store port: see `storage/store.py`. Reads and writes raise what `inner` and `seal` do."""

    def __init__(
        self,
        inner: FlushTarget,
        seal: Seal,
        on_damaged: OnDamaged,
        rows: RowCache | None = None,
        quarantine: Quarantine | None = None,
    ) -> None:
        """`quarantine` is told when a damaged pair is replaced or deleted."""
        self._quarantine = quarantine
        # Checked at each write, and nearly always empty.
        self._damages = {} if quarantine is None else quarantine.damages
        self._inner = inner
        self._on_damaged = on_damaged
        self._rows = rows or RowCache(0, {})
        self.seal = seal

    @property
    def failed(self) -> StorageError | None:
        return self._inner.failed

    @property
    def full(self) -> bool:
        return self._inner.full

    @property
    def pressed(self) -> bool:
        return self._inner.pressed

    def get(self, key: bytes) -> bytes | None:
        if key[0] == RECORD:
            row = self._rows.get(key)
            if row is not None and self._inner.failed is None:
                return row
        elif not is_named(key):
            return self._inner.get(key)
        try:
            stored_key = self.seal.stored_key(key)
        except KeyError:
            return None  # Its namespace was dropped.
        try:
            sealed = self._inner.get(stored_key)
            return None if sealed is None else self._open(key, stored_key, sealed)
        except CorruptRecord as error:
            self._on_damaged(stored_key, error)
            raise

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        if key[0] == RECORD:
            row = self._rows.get(key)
            if row is not None and self._inner.failed is None:
                return row
        elif not is_named(key):
            return self._inner.find(key, then, arg)
        try:
            stored_key = self.seal.stored_key(key)
        except KeyError:
            return None  # Its namespace was dropped.
        try:
            sealed = self._inner.find(stored_key, then, arg)
            if sealed is None or sealed is COLD:
                return sealed
            return self._open(key, stored_key, sealed)
        except CorruptRecord as error:
            self._on_damaged(stored_key, error)
            raise

    def _open(self, key: bytes, stored_key: bytes, sealed: bytes) -> bytes:
        found, data = self.seal.open(stored_key, sealed)
        if found != key:
            raise CorruptRecord("A record of another key is stored in the place of this one.")
        if is_record(key):
            self._rows.put(key, data)
        return data

    def write(self, key: bytes, value: bytes | None) -> None:
        try:
            if value is None:
                stored_key, sealed = self._dropped(key), None
            else:
                stored_key, sealed = self._sealed(key, value)
        except KeyError:
            return  # Its namespace was dropped.
        self._inner.write(stored_key, sealed)
        if self._damages:
            self._release(stored_key)

    def sync(self, done: Done, arg: Any) -> None:
        self._inner.sync(done, arg)

    def _sealed(self, key: bytes, value: bytes) -> tuple[bytes, bytes]:
        """The stored form of a pair; a record is put into the row cache."""
        kind = key[0]
        if kind == RECORD:
            pair = self.seal.seal(key, value)
            self._rows.put(key, value)
            return pair
        return self.seal.seal(key, value) if kind == NOTE else (key, value)

    def _dropped(self, key: bytes) -> bytes:
        """The stored key of a pair; a record is dropped from the row cache."""
        if is_record(key):
            self._rows.drop(key)
        return self.seal.stored_key(key) if is_named(key) else key

    def _release(self, stored_key: bytes) -> None:
        assert self._quarantine is not None
        self._quarantine.release(stored_key)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        if start >= end or limit <= 0:
            return []
        if not is_named(start):
            return self._inner.scan(start, end, limit)
        pairs: list[tuple[bytes, bytes]] = []
        at, stored_end, more = _visible(start), _stored_end(end), True
        while more and len(pairs) < limit:
            wanted = limit - len(pairs) + 1  # One that is past the page, to see that it goes on.
            page = self._inner.scan(at, stored_end, wanted)
            more = len(page) == wanted
            if more:
                at = self._complete_groups(page)
            pairs += self._opened(page, start, end)
        return pairs[:limit]

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        below = self._inner.unreadable(_visible(start), _stored_end(end))
        if not is_record(start) or not (below or self._damages):
            return below
        found = [(_visible(first), _plain_end(last)) for first, last in below]
        if self._quarantine is not None and self._quarantine.more:
            return [(start, end)]  # Some damage is not listed, and it may be here.
        fresh = {self.seal.stored_key(key) for key in replaced}
        damaged = {key[: visible_bytes(key)] for key in self._damages if key not in fresh}
        tokens = (token_range(place[1:]) for place in sorted(damaged))
        return found + [(first, last) for first, last in tokens if first < end and start < last]

    def _complete_groups(self, page: list[tuple[bytes, bytes]]) -> bytes:
        """Take the last group off a page that goes on, unless it is the only one: then have all of
        it. Returns where the next page begins.
        """
        visible = _visible(page[-1][0])
        first = len(page) - 1
        while first and page[first - 1][0].startswith(visible):
            first -= 1
        if first:
            del page[first:]
            return visible
        beyond = visible + _PAST_ANY_NAME
        page[:] = self._inner.scan(visible, beyond, _GROUP_MAX)
        return beyond

    def _opened(
        self, page: list[tuple[bytes, bytes]], start: bytes, end: bytes
    ) -> list[tuple[bytes, bytes]]:
        """The plain pairs of stored ones, as far as start <= key < end, in the order of keys."""
        open_pair = self.seal.open
        opened = []
        for stored_key, sealed in page:
            try:
                pair = open_pair(stored_key, sealed)
            except ShreddedRecord:
                continue  # The scrubber will delete it.
            except CorruptRecord as error:
                self._on_damaged(stored_key, error)
                continue
            if start <= pair[0] < end:
                opened.append(pair)
        opened.sort()  # Only within a group they may have another order.
        return opened


def _visible(bound: bytes) -> bytes:
    """The visible part of a range's bound, which need not be a complete key."""
    if bound[0] == NOTE and 0 not in bound:
        return bound
    return bound[: visible_bytes(bound)] if is_named(bound) else bound


def _plain_end(end: bytes) -> bytes:
    """An end for the plain keys whose stored keys come before `end`; it may include more."""
    visible = _visible(end)
    return visible if visible == end else token_range(visible[1:])[1]


def _stored_end(end: bytes) -> bytes:
    """An end for the stored keys whose plain keys come before `end`; it may include more."""
    visible = _visible(end)
    return visible if visible == end else visible + _PAST_ANY_NAME
