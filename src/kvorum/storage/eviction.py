"""Eviction: which of many entries a bounded store gives up next.

    lru       the one unused longest. Right for nearly everything; a long scan empties it.
    lfu       the one used least often. A scan passes through it; what was popular once
              stays, so it suits a stable set of favourites and no other.
    tinylfu   recency and frequency in one (G. Einziger, R. Friedman, B. Manes, "TinyLFU: A
              Highly Efficient Cache Admission Policy", 2017). Below.

The store counts bytes and says when; a policy only says which. So a policy is a map with a
`popitem`, and LRU and LFU are cachebox's: in Rust, 0.1 microseconds a hit, and the LFU's worst
eviction among 400,000 entries took 70 microseconds. No library has a W-TinyLFU that can be
asked for a victim (theine fixes its capacity in entries, and takes 1.4 microseconds a hit).

    put ──> window (1%, LRU) ──oldest──> probation (LRU) ──used again──> protected (LRU)
                                             ^                               |
                                             '────────oldest, above 80%──────'

Whoever was pushed out of the window last has to win a duel to stay: against the oldest on
probation, by how often both were asked for of late. So a scan pushes out itself. The counts
are kept for all keys, present or not, in a sketch: two counters of a table for each key, the
smaller one of which is never too low. All are halved after five uses per entry, which is how
the popular of yesterday are forgotten. Keys are hashed with the interpreter's keyed hash, so
nobody outside can choose keys that share counters.
"""

from __future__ import annotations

from typing import Final, Protocol

import msgspec
from cachebox import LFUCache, LRUCache

from kvorum.model.topology import Eviction

WINDOW_SHARE: Final = 100
PROTECTED_SHARE: Final = 5
COUNT_MAX: Final = 15
_USES_PER_ENTRY: Final = 5
_ENTRIES_MIN: Final = 64
_COUNTERS_MIN: Final = 1 << 12
_COUNTERS_PER_ENTRY: Final = 16
_HALVED: Final = bytes(count >> 1 for count in range(256))
_UNBOUNDED: Final = 0


class CacheStatus(msgspec.Struct, frozen=True):
    """Of one namespace: what a bounded store holds now, and has done since the node started."""

    entries: int
    bytes: int
    hits: int
    misses: int
    evicted: int


class Rows(Protocol):
    """A map that knows which entry it would rather lose."""

    def get(self, key: bytes) -> bytes | None:
        """A use of the entry."""

    def peek(self, key: bytes) -> bytes | None:
        """As `get`, and no use."""

    def insert(self, key: bytes, value: bytes) -> bytes | None:
        """Returns what was there."""

    def pop(self, key: bytes, default: None) -> bytes | None: ...

    def popitem(self) -> tuple[bytes, bytes]:
        """Give up one entry. Raises KeyError if there is none."""

    def clear(self) -> None: ...

    def __contains__(self, key: bytes) -> bool: ...

    def __len__(self) -> int: ...


def rows_for(eviction: Eviction) -> Rows:
    """An empty map that gives up rows by this policy."""
    if eviction == "lfu":
        return LFUCache[bytes, bytes](_UNBOUNDED)
    if eviction == "tinylfu":
        return TinyLfu()
    return LRUCache[bytes, bytes](_UNBOUNDED)


class TinyLfu:
    """Rows under W-TinyLFU."""

    __slots__ = ("_newcomer", "_probation", "_protected", "_sketch", "_until_aging", "_window")

    def __init__(self) -> None:
        self._sketch = Sketch()
        self._until_aging = _USES_PER_ENTRY * _ENTRIES_MIN
        self._window = LRUCache[bytes, bytes](_UNBOUNDED)
        self._probation = LRUCache[bytes, bytes](_UNBOUNDED)
        self._protected = LRUCache[bytes, bytes](_UNBOUNDED)
        self._newcomer = b""
        """Whom the window pushed out last; empty once it has stayed or gone."""

    def get(self, key: bytes) -> bytes | None:
        self._sketch.note(key)
        self._until_aging -= 1
        if not self._until_aging:
            self._age()
        value = self._protected.get(key)
        if value is None:
            value = self._window.get(key)
        if value is None:
            value = self._probation.pop(key, None)
            if value is not None:
                self._protect(key, value)
        return value

    def peek(self, key: bytes) -> bytes | None:
        for part in (self._protected, self._window, self._probation):
            value: bytes | None = part.peek(key)
            if value is not None:
                return value
        return None

    def insert(self, key: bytes, value: bytes) -> bytes | None:
        for part in (self._protected, self._window, self._probation):
            if key in part:
                return part.insert(key, value)
        self._window.insert(key, value)
        if len(self._window) > 1 + len(self) // WINDOW_SHARE:
            self._newcomer, old = self._window.popitem()
            self._probation.insert(self._newcomer, old)
        return None

    def pop(self, key: bytes, default: None = None) -> bytes | None:
        for part in (self._protected, self._window, self._probation):
            value: bytes | None = part.pop(key, None)
            if value is not None:
                return value
        return default

    def popitem(self) -> tuple[bytes, bytes]:
        newcomer, self._newcomer = self._newcomer, b""
        if newcomer in self._probation:
            oldest = self._probation.least_recently_used()
            if oldest is None or self._sketch.count(newcomer) <= self._sketch.count(oldest):
                return newcomer, self._probation.pop(newcomer)
        for part in (self._probation, self._protected, self._window):
            if part:
                return part.popitem()
        raise KeyError("nothing to give up")

    def clear(self) -> None:
        for part in (self._protected, self._window, self._probation):
            part.clear()

    def __contains__(self, key: bytes) -> bool:
        return key in self._protected or key in self._window or key in self._probation

    def __len__(self) -> int:
        return len(self._protected) + len(self._window) + len(self._probation)

    def _age(self) -> None:
        entries = max(len(self), _ENTRIES_MIN)
        self._sketch.age(entries)
        self._until_aging = _USES_PER_ENTRY * entries

    def _protect(self, key: bytes, value: bytes) -> None:
        self._protected.insert(key, value)
        if len(self._protected) > len(self) - len(self) // PROTECTED_SHARE:
            self._probation.insert(*self._protected.popitem())


class Sketch:
    """How often each key was noted of late, approximately, never too low, up to `COUNT_MAX`."""

    __slots__ = ("_counters", "_mask")

    def __init__(self) -> None:
        self._counters = bytearray(_COUNTERS_MIN)
        self._mask = _COUNTERS_MIN - 1

    def note(self, key: bytes) -> None:
        counters, mask, place = self._counters, self._mask, hash(key)
        first, second = place & mask, (place >> 32) & mask
        if counters[first] < COUNT_MAX:
            counters[first] += 1
        if counters[second] < COUNT_MAX:
            counters[second] += 1

    def count(self, key: bytes) -> int:
        place = hash(key)
        return min(self._counters[place & self._mask], self._counters[(place >> 32) & self._mask])

    def age(self, entries: int) -> None:
        """Halve all counts, and have enough counters for so many entries."""
        self._counters = self._counters.translate(_HALVED)
        while len(self._counters) < _COUNTERS_PER_ENTRY * entries:
            # Each key finds its count again: its place has one bit more, of either value.
            self._counters *= 2
        self._mask = len(self._counters) - 1
