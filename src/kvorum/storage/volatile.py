"""VolatileStore: the Store port in bounded memory. What is evicted is gone.

It holds the entries of one namespace with durability "none", and never touches the disk. A
full store gives up whole entries, by the namespace's policy (`eviction.py`), before it takes
the next; so it never holds more than `bytes_max`, and what was put last is there. An entry
that is larger than the whole store is not kept at all. As it gives up entries by itself, it also
counts them (`counts`).

Keys stand in order beside the map, for scans. They begin with a token, which is a hash, so
equal slices of the token space fill evenly; each is a short sorted list, and a new key moves
only the few that come after it there.

    slices   | d 000.. | d 001.. | ... | d fff.. |      by the token's first 12 bits
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Any, Final

from kvorum.model.entry_counts import EntryCounts
from kvorum.model.errors import StorageError
from kvorum.model.prefixes import RECORD
from kvorum.model.topology import Eviction
from kvorum.runtime.ports import Runtime
from kvorum.storage.eviction import CacheStatus, rows_for
from kvorum.storage.store import Done, KeyRange

ENTRY_OVERHEAD_BYTES: Final = 240
"""What an entry costs beside its bytes: two bytes objects, its places in map and order. The
costliest policy was measured at 190 to 206; a map that has just grown costs a bit more."""

_SLICE_BITS: Final = 12
_FIRST: Final = RECORD[0] << 16


class VolatileStore:
    """A Store in bounded memory, for one namespace."""

    __slots__ = (
        "_bytes",
        "_bytes_max",
        "_evicted",
        "_eviction",
        "_hits",
        "_misses",
        "_rows",
        "_runtime",
        "_slices",
        "counts",
        "failed",
        "full",
        "pressed",
    )

    def __init__(
        self, runtime: Runtime, bytes_max: int, eviction: Eviction, partition_bits: int
    ) -> None:
        """`partition_bits`: the bits of a token that are its partition, by which it counts."""
        self.failed: StorageError | None = None
        self.full = False
        self.pressed = False
        self._runtime = runtime
        self._bytes_max = bytes_max
        self._bytes = 0
        self._eviction = eviction
        self._rows = rows_for(eviction)
        self._slices: list[list[bytes]] = [[] for _ in range(1 << _SLICE_BITS)]
        self.counts = EntryCounts(partition_bits)
        self._hits = 0
        self._misses = 0
        self._evicted = 0

    # The Store port

    def get(self, key: bytes) -> bytes | None:
        value = self._rows.get(key)
        if value is None:
            self._misses += 1
        else:
            self._hits += 1
        return value

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | None:
        return self.get(key)

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        if _size(key, value) <= self._bytes_max:
            self._make_room(key, value)
            old = self._rows.insert(key, value)
            if old is None:
                insort(self._slices[_slice_of(key)], key)
                self._bytes += _size(key, value)
            else:
                self._bytes += len(value) - len(old)
            self.counts.replace(key, old or b"", value)
        elif self._drop(key):
            self._evicted += 1
        self._runtime.call_soon(done, arg, None)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self._drop(key)
        self._runtime.call_soon(done, arg, None)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        pairs: list[tuple[bytes, bytes]] = []
        if start >= end:
            return pairs
        for keys in self._slices[_slice_of(start) : _slice_of(end) + 1]:
            if len(pairs) >= limit:
                break
            if keys:
                first = bisect_left(keys, start)
                last = bisect_left(keys, end, first)
                wanted = keys[first : min(last, first + limit - len(pairs))]
                pairs += [
                    (key, value) for key in wanted if (value := self._rows.peek(key)) is not None
                ]
        return pairs

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        return []

    # Its owner's

    def alter(self, bytes_max: int, eviction: Eviction) -> None:
        """Hold no more than `bytes_max` from now on, and give up entries in that order."""
        if eviction != self._eviction:
            old, self._rows, self._eviction = self._rows, rows_for(eviction), eviction
            while len(old):
                self._rows.insert(*old.popitem())  # The one to be given up first is the oldest.
        self._bytes_max = bytes_max
        while self._bytes > bytes_max:
            self._forget(*self._rows.popitem())
            self._evicted += 1

    def status(self) -> CacheStatus:
        """How much it holds, and how often a key was found there."""
        return CacheStatus(len(self._rows), self._bytes, self._hits, self._misses, self._evicted)

    def _make_room(self, key: bytes, value: bytes) -> None:
        """Give up entries until `value` fits; the one it replaces may be among them."""
        old = self._rows.peek(key)
        growth = _size(key, value) if old is None else len(value) - len(old)
        while self._bytes + growth > self._bytes_max:
            victim, held = self._rows.popitem()
            self._forget(victim, held)
            self._evicted += 1
            if victim == key:
                growth = _size(key, value)

    def _drop(self, key: bytes) -> bool:
        value = self._rows.pop(key, None)
        if value is None:
            return False
        self._forget(key, value)
        return True

    def _forget(self, key: bytes, value: bytes) -> None:
        keys = self._slices[_slice_of(key)]
        del keys[bisect_left(keys, key)]
        self._bytes -= _size(key, value)
        self.counts.replace(key, value, b"")


def _size(key: bytes, value: bytes) -> int:
    return len(key) + len(value) + ENTRY_OVERHEAD_BYTES


def _slice_of(key: bytes) -> int:
    """Keys in order have slices in order; those that are no record's go to the ends."""
    place = int.from_bytes(key[:3].ljust(3, b"\0")) - _FIRST
    return min(max(place, 0), 0xFFFF) >> (16 - _SLICE_BITS)
