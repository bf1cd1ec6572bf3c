"""Pages of this node's records in the order of storage keys, with the ranges that it cannot read.

Records are fetched a few at a time, as they may be large: at first `_FIRST_RECORDS`, then as many
as the rest of the page holds, by the size of those so far. However large a record is, it is part of
the page that it would begin.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kvorum.model.keys import TOKEN_END
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import KeyRange, Store

PAGE_BYTES_MAX: Final = 4 << 20
_FIRST_RECORDS: Final = 8

Pairs = list[tuple[bytes, bytes]]
"""Storage keys and encoded records, in the order of the keys."""


class RecordPage(NamedTuple):
    """Some records of a range. `more`: the range may go on behind the last of `pairs`.
    `unreadable`: ranges of keys in the page that are damaged or unverified here.
    """

    pairs: Pairs
    more: bool
    unreadable: list[KeyRange]


def read_page(replica: LocalReplica, start: bytes, end: bytes, limit: int) -> RecordPage:
    """The next records of start <= storage key < end, at most `limit` and as many as fit; if that
    is 0, only what is damaged there. Raises StorageError.
    """
    if not limit:
        return RecordPage([], True, replica.store.unreadable(start, end))
    pairs, more = _read_pairs(replica.store, start, end, limit)
    if more:
        end = pairs[-1][0] + b"\0"
    unreadable = replica.store.unreadable(start, end)
    if replica.unverified.tokens:
        unreadable = unreadable + replica.unverified.ranges(start, end)
    return RecordPage(pairs, more, unreadable)


class SelectedPage(NamedTuple):
    """Those of the records that were looked at that are wanted. `upto`: the last storage key that
    was looked at; b"" if the range has ended. `unreadable`: as of a RecordPage.
    """

    pairs: Pairs
    upto: bytes
    unreadable: list[KeyRange]


def read_selected(
    replica: LocalReplica, start: bytes, end: bytes, limit: int, wanted: bytes
) -> SelectedPage:
    """As `read_page`, of the records whose storage keys go on with `wanted` behind the token."""
    pairs, more, unreadable = read_page(replica, start, end, limit)
    upto = pairs[-1][0] if more and pairs else b""
    if wanted:
        pairs = [pair for pair in pairs if pair[0].startswith(wanted, TOKEN_END)]
    return SelectedPage(pairs, upto, unreadable)


def _read_pairs(store: Store, start: bytes, end: bytes, limit: int) -> tuple[Pairs, bool]:
    pairs: Pairs = []
    size, step = 0, _FIRST_RECORDS
    while len(pairs) < limit and size < PAGE_BYTES_MAX:
        wanted = min(step, limit - len(pairs))
        found = store.scan(start, end, wanted)
        for key, data in found:
            if size >= PAGE_BYTES_MAX:
                return pairs, True
            pairs.append((key, data))
            size += len(key) + len(data)
        if len(found) < wanted:
            return pairs, False
        start = pairs[-1][0] + b"\0"
        step = max(1, (PAGE_BYTES_MAX - size) * len(pairs) // size)
    return pairs, True
