"""The row cache: frequently used records in plain, above the encryption.

The engine finds a record in its memtable or block cache in a few microseconds, most of them spent
on misses of the processor's caches, and then the record has to be decrypted. A hit in the row cache
costs a tenth of that. Every write passes through the cache, so a hit is what was written last.
(Cassandra has the same cache under the same name.)

All namespaces of a node share one limit in bytes, and each has an eviction policy of its own
(`storage/eviction.py`). When the limit is exceeded, the namespace that holds most evicts entries:
a busy namespace can use what others leave, and cannot push them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kvorum.model.topology import Eviction, NamespaceSettings
from kvorum.storage.eviction import CacheStatus, rows_for

ROW_OVERHEAD_BYTES: Final = 200
"""About what a row takes beside its bytes: two bytes objects and its place in the map."""

_NAMESPACE_AT: Final = 9


def evictions(namespaces: Mapping[str, NamespaceSettings]) -> dict[str, Eviction]:
    """The policies of the namespaces that have records on the disk. Others are in memory anyway."""
    return {
        name: settings.eviction
        for name, settings in namespaces.items()
        if settings.durability != "none"
    }


class _Share:
    """The rows of one namespace."""

    __slots__ = ("bytes", "evicted", "hits", "misses", "rows")

    def __init__(self, eviction: Eviction) -> None:
        self.rows = rows_for(eviction)
        self.bytes = 0
        self.evicted = 0
        self.hits = 0
        self.misses = 0


class RowCache:
    """A map from storage keys of records (`model/keys.py`) to records, bounded in bytes."""

    __slots__ = ("_bytes", "_bytes_max", "_only", "_shares")

    def __init__(self, bytes_max: int, evictions: Mapping[str, Eviction]) -> None:
        """`evictions`: the policy by namespace. Records of other namespaces are not kept."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._shares = {name.encode(): _Share(policy) for name, policy in evictions.items()}
        self._only: _Share | None = None
        self._find_only()

    def get(self, key: bytes) -> bytes | None:
        """The record of `key`, if it is in the cache."""
        share = self._only or self._shares.get(key[_NAMESPACE_AT : key.index(0, _NAMESPACE_AT)])
        if share is None:
            return None
        value = share.rows.get(key)
        if value is None:
            share.misses += 1
        else:
            share.hits += 1
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep the record `value` of `key`, and evict others if there is no room."""
        share = self._only or self._share(key)
        if share is None:
            return
        rows = share.rows
        whole = len(key) + len(value) + ROW_OVERHEAD_BYTES
        if self._bytes + whole <= self._bytes_max:
            # There is room even if the key is new.
            old = rows.insert(key, value)
            growth = whole if old is None else len(value) - len(old)
            share.bytes += growth
            self._bytes += growth
        else:
            self._put_where_full(share, key, value, whole)

    def _put_where_full(self, share: _Share, key: bytes, value: bytes, whole: int) -> None:
        if whole > self._bytes_max:
            self.drop(key)
            return
        old = share.rows.peek(key)
        growth = whole if old is None else len(value) - len(old)
        # Evict before the insertion: LFU would evict the new row again and again.
        while self._bytes + growth > self._bytes_max:
            if self._evict() == key:
                growth = whole
        share.rows.insert(key, value)
        share.bytes += growth
        self._bytes += growth

    def drop(self, key: bytes) -> None:
        """Forget the record of `key`."""
        share = self._share(key)
        if share is not None:
            value = share.rows.pop(key, None)
            if value is not None:
                self._forget(share, key, value)

    def clear(self) -> None:
        """Forget all records."""
        self._bytes = 0
        for share in self._shares.values():
            share.rows.clear()
            share.bytes = 0

    def add(self, namespace: str, eviction: Eviction) -> None:
        """Keep records of `namespace` from now on. Forgets those that it has."""
        self.remove(namespace)
        self._shares[namespace.encode()] = _Share(eviction)
        self._find_only()

    def remove(self, namespace: str) -> None:
        """Forget all records of `namespace`, and keep none of it from now on."""
        share = self._shares.pop(namespace.encode(), None)
        if share is not None:
            self._bytes -= share.bytes
            self._find_only()

    def resize(self, bytes_max: int) -> None:
        """Change the limit to `bytes_max`, and evict what exceeds it."""
        self._bytes_max = bytes_max
        while self._bytes > bytes_max:
            self._evict()

    def status(self) -> dict[str, CacheStatus]:
        """Counts and bytes by namespace."""
        return {
            name.decode(): CacheStatus(
                len(share.rows), share.bytes, share.hits, share.misses, share.evicted
            )
            for name, share in self._shares.items()
        }

    def _find_only(self) -> None:
        """Where there is one namespace, keys need not be asked for theirs."""
        self._only = next(iter(self._shares.values())) if len(self._shares) == 1 else None

    def _share(self, key: bytes) -> _Share | None:
        return self._shares.get(key[_NAMESPACE_AT : key.index(0, _NAMESPACE_AT)])

    def _evict(self) -> bytes:
        """The key that had to go."""
        share = self._only or max(self._shares.values(), key=_bytes_of)
        key, value = share.rows.popitem()
        self._forget(share, key, value)
        share.evicted += 1
        return key

    def _forget(self, share: _Share, key: bytes, value: bytes) -> None:
        size = len(key) + len(value) + ROW_OVERHEAD_BYTES
        share.bytes -= size
        self._bytes -= size


def _bytes_of(share: _Share) -> int:
    return share.bytes
