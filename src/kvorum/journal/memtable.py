"""A memtable: the latest of each key that has been written, in memory, until it is flushed.

    changes   a map of plain keys to values; None is a deletion
    index     the same keys in order, for scans

Most keys are written and read one by one, for which the map is enough. So a new key is only
noted down, and indexed when the next scan comes: in a bucket with the keys that share all before
the token and the token's first byte, which is at most one in 256 of them. The few notes of the
store's own have a bucket for each kind. A bucket is sorted when a scan comes to it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from typing import Final

from kvorum.sealing.seal import NOTE, RECORD, namespace_of, visible_bytes

ROW_OVERHEAD_BYTES: Final = 250
"""What a change costs beside its bytes: two bytes objects, a place in the map and the index."""

_TOKEN_REST: Final = 7

Change = tuple[bytes, bytes | None]


class Memtable:
    """Its keys are plain (`sealing/seal.py`)."""

    __slots__ = ("_buckets", "_fresh", "_order", "_unsorted", "changes", "size_bytes")

    def __init__(self) -> None:
        self.changes: dict[bytes, bytes | None] = {}
        self.size_bytes = 0
        self._fresh: list[bytes] = []
        self._buckets: dict[bytes, list[bytes]] = {}
        self._order: list[bytes] = []
        self._unsorted: set[bytes] = set()

    def put(self, key: bytes, value: bytes | None) -> None:
        """Take a change in, in the place of an earlier one of its key; None is a deletion."""
        changes = self.changes
        before = len(changes)
        old = changes.setdefault(key, value)
        if len(changes) != before:
            self._fresh.append(key)
            self.size_bytes += len(key) + ROW_OVERHEAD_BYTES
        else:
            changes[key] = value
            if old is not None:
                self.size_bytes -= len(old)
        if value is not None:
            self.size_bytes += len(value)

    def page(self, start: bytes, end: bytes, limit: int) -> list[Change]:
        """The first `limit` changes with start <= key < end, in the order of keys."""
        if not self.changes:
            return []
        self._index_fresh()
        changes = self.changes
        return [(key, changes[key]) for key in islice(self._keys(start, end), limit)]

    def without(self, namespace: bytes) -> Memtable:
        """The same, but for what belongs to `namespace`."""
        rest = Memtable()
        for key, value in self.changes.items():
            if namespace_of(key) != namespace:
                rest.put(key, value)
        return rest

    def _keys(self, start: bytes, end: bytes) -> Iterator[bytes]:
        first = bisect_right(self._order, start)
        if first and start.startswith(self._order[first - 1]):
            first -= 1
        for name in islice(self._order, first, None):
            if name >= end:
                return
            bucket = self._bucket(name)
            yield from bucket[bisect_left(bucket, start) : bisect_left(bucket, end)]

    def _bucket(self, name: bytes) -> list[bytes]:
        bucket = self._buckets[name]
        if name in self._unsorted:
            self._unsorted.discard(name)
            bucket.sort()
        return bucket

    def _index_fresh(self) -> None:
        buckets = self._buckets
        for key in self._fresh:
            name = _bucket_of(key)
            bucket = buckets.get(name)
            if bucket is None:
                bucket = buckets[name] = []
                insort(self._order, name)
            bucket.append(key)
            self._unsorted.add(name)
        self._fresh.clear()


def _bucket_of(key: bytes) -> bytes:
    if key[0] == RECORD:
        return key[:2]
    return key[: visible_bytes(key) - _TOKEN_REST] if key[0] == NOTE else key[:1]
