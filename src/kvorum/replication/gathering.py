"""What a page of a listing gathers while partitions are read, in the order that it is given in.

    TokenOrder    the order of storage keys: the page is full after so many entries, and its cursor
                  is the last storage key
    KeyOrder      the order of keys, of one hash tag: all of its records are read for each page, and
                  the first so many keys behind the last page are kept
    Counting      no entries, only their number

A namespace's keys are wanted whose storage keys go on with `wanted` behind the token.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import RequestError
from kvorum.model.hash_tags import hash_tag
from kvorum.model.keys import TOKEN_END, encode_key, is_range_start, split_storage_key
from kvorum.model.prefixes import RECORD, RECORDS_END
from kvorum.model.record import Record
from kvorum.model.request import Listing, Selection, Unreadable

ENTRIES_MAX: Final = 300
"""Whole entries a page, since showing one takes some 10 us."""
ANSWER_BYTES_MAX: Final = 4 << 20

_FIRST: Final = RECORD + bytes(8)
_BY_KEY: Final = b"k"
"""What a cursor in the order of keys begins with."""
_SURPLUS: Final = 1000
"""So many more than a page has are kept before they are sorted."""

_name_of = itemgetter(0)


def wanted_by(selection: Selection) -> bytes:
    """How the storage keys of its entries go on behind the token. Raises InvalidKey."""
    prefix = encode_key(selection.prefix) if selection.prefix else b""
    return selection.namespace.encode() + b"\0" + prefix


class TokenOrder:
    """A page in the order of storage keys; `start` to `end` is what it is about."""

    def __init__(self, selection: Selection, start: bytes, end: bytes) -> None:
        self.start = start
        self.end = end
        self.full = False
        self._at = TOKEN_END + len(selection.namespace) + 1
        self._limit = selection.limit
        self._keys: list[bytes] = []

    def take(self, storage_key: bytes, record: Record | None) -> None:
        """Add a live entry. `record`: None where only keys are asked for."""
        self._keys.append(storage_key[self._at :])
        self.full = len(self._keys) >= self._limit

    def listing(self, cursor: bytes, unreadable: list[Unreadable]) -> Listing:
        """The page, if `cursor` is the last storage key that was looked at; b"" for the end."""
        return Listing(cursor, unreadable, keys=[key.decode() for key in self._keys])


class EntriesInTokenOrder(TokenOrder):
    """Such a page of whole entries."""

    def __init__(self, selection: Selection, start: bytes, end: bytes) -> None:
        super().__init__(selection, start, end)
        self._entries: list[tuple[str, Record]] = []
        self._entries_max = min(selection.limit, ENTRIES_MAX)
        self._bytes = 0

    def take(self, storage_key: bytes, record: Record | None) -> None:
        assert record is not None
        self._entries.append((split_storage_key(storage_key)[1], record))
        self._bytes += _size(record)
        self.full = len(self._entries) >= self._entries_max or self._bytes >= ANSWER_BYTES_MAX

    def listing(self, cursor: bytes, unreadable: list[Unreadable]) -> Listing:
        return Listing(cursor, unreadable, entries=self._entries)


class Counting(TokenOrder):
    """The number of entries, as far as a page gets."""

    def __init__(self, selection: Selection, start: bytes, end: bytes) -> None:
        super().__init__(selection, start, end)
        self._count = 0

    def take(self, storage_key: bytes, record: Record | None) -> None:
        self._count += 1

    def listing(self, cursor: bytes, unreadable: list[Unreadable]) -> Listing:
        return Listing(cursor, unreadable, count=self._count)


class KeyOrder:
    """A page in the order of keys, of all in `start` to `end`; never full before it has seen all.

    Those kept are sorted whenever there are `_SURPLUS` too many. So they are the first ones of all
    that were seen, in order, and some more.
    """

    full: Final = False

    def __init__(self, selection: Selection, start: bytes, end: bytes, after: bytes) -> None:
        self.start = start
        self.end = end
        self._after = after
        self._at = TOKEN_END + len(selection.namespace) + 1
        self._whole = selection.give == "entries"
        self._limit = min(selection.limit, ENTRIES_MAX) if self._whole else selection.limit
        self._kept: list[tuple[bytes, Record | None]] = []
        self._last: bytes | None = None
        """No key behind this one is kept any more."""

    def take(self, storage_key: bytes, record: Record | None) -> None:
        """Add a live entry."""
        name = storage_key[self._at :]
        if name <= self._after or (self._last is not None and name > self._last):
            return
        self._kept.append((name, record if self._whole else None))
        if len(self._kept) >= self._limit + _SURPLUS:
            self._cut()

    def listing(self, cursor: bytes, unreadable: list[Unreadable]) -> Listing:
        """The page. Raises AssertionError if not all has been seen."""
        assert not cursor, "a page in the order of keys that was cut short"
        self._cut()
        at = _BY_KEY + self._kept[-1][0] if self._last is not None else b""
        if not self._whole:
            return Listing(at, unreadable, keys=[name.decode() for name, _ in self._kept])
        entries = [(name.decode(), record) for name, record in self._kept if record is not None]
        return Listing(at, unreadable, entries=entries)

    def _cut(self) -> None:
        self._kept.sort(key=_name_of)
        fitting = self._fitting()
        if fitting < len(self._kept):
            del self._kept[fitting:]
            self._last = self._kept[-1][0]

    def _fitting(self) -> int:
        """How many of those kept make up a page."""
        size = 0
        for number, (_, record) in enumerate(self._kept[: self._limit], 1):
            size += 0 if record is None else _size(record)
            if size >= ANSWER_BYTES_MAX:
                return number
        return min(len(self._kept), self._limit)


Gathering = TokenOrder | KeyOrder


def gathering_of(view: ClusterView, selection: Selection) -> Gathering:
    """What gathers a page of `selection`. Raises RequestError, InvalidKey or NamespaceNotFound."""
    settings = view.catalog.settings(selection.namespace)
    tag = hash_tag(encode_key(selection.prefix)) if selection.prefix else None
    start, end = _FIRST, RECORDS_END
    if tag is not None and settings.hash_tags:
        start, end = view.tag_range(tag)
        if selection.give != "count":
            return KeyOrder(selection, start, end, _key_before(selection))
    cursor = _storage_key_before(view, selection)
    if cursor:
        start = max(start, cursor + b"\0")
    if selection.give == "count":
        return Counting(selection, start, end)
    if selection.give == "keys":
        return TokenOrder(selection, start, end)
    return EntriesInTokenOrder(selection, start, end)


def _key_before(selection: Selection) -> bytes:
    if selection.start_after:
        return encode_key(selection.start_after)
    if selection.cursor and selection.cursor[:1] != _BY_KEY:
        raise _bad_cursor()
    return selection.cursor[1:]


def _storage_key_before(view: ClusterView, selection: Selection) -> bytes:
    if selection.start_after:
        return view.place(selection.namespace, selection.start_after).key
    if selection.cursor and not is_range_start(selection.cursor):
        raise _bad_cursor()
    return selection.cursor


def _bad_cursor() -> RequestError:
    return RequestError("The cursor is none that an earlier page of this listing gave.")


def _size(record: Record) -> int:
    return sum(len(version.value) for version in record.versions)
