"""RoutedStore: the Store port over a durable store and those of namespaces kept in memory.

    b"d" token8 "sessions" 0x00 ...   ──>  the VolatileStore of "sessions"
    everything else                   ──>  the durable store: records, hints, marks

A namespace's own store is all that its entries can fill, so none of them ever displaces data
of another namespace. Writes are answered in order within each store, not across them; a scan
shows all of them in one order.

Namespaces come and go. While none is kept in memory, whoever calls this store calls the durable
one: its methods stand in the place of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from kvorum.model.errors import StorageError
from kvorum.model.prefixes import RECORD
from kvorum.model.topology import NamespaceSettings
from kvorum.runtime.ports import Runtime
from kvorum.storage.eviction import CacheStatus
from kvorum.storage.store import Cold, Done, KeyRange, Store
from kvorum.storage.volatile import VolatileStore

_NAMESPACE_AT: Final = 9
_ROUTED: Final = ("get", "find", "put", "delete", "scan")


class RoutedStore:
    """A Store made of a durable one and one for each namespace kept in memory."""

    def __init__(self, durable: Store, volatile: Mapping[str, VolatileStore]) -> None:
        self._durable = durable
        self._volatile = {name.encode(): store for name, store in volatile.items()}
        self._shorten()

    def add(self, namespace: str, store: VolatileStore) -> None:
        """Keep the entries of `namespace` in `store` from now on."""
        self._volatile[namespace.encode()] = store
        self._shorten()

    def remove(self, namespace: str) -> None:
        """Let go of the store of `namespace` and all that is in it, if it has one."""
        self._volatile.pop(namespace.encode(), None)
        self._shorten()

    def _shorten(self) -> None:
        """Have calls go straight to the durable store where there is no other."""
        for name in _ROUTED:
            if self._volatile:
                self.__dict__.pop(name, None)
            else:
                self.__dict__[name] = getattr(self._durable, name)

    @property
    def failed(self) -> StorageError | None:
        return self._durable.failed

    @property
    def full(self) -> bool:
        return self._durable.full

    @property
    def pressed(self) -> bool:
        return self._durable.pressed

    def get(self, key: bytes) -> bytes | None:
        return self._store_of(key).get(key)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        return self._store_of(key).find(key, then, arg)

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        self._store_of(key).put(key, value, done, arg)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self._store_of(key).delete(key, done, arg)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        pairs = self._durable.scan(start, end, limit)
        durable = len(pairs)
        for store in self._volatile.values():
            pairs += store.scan(start, end, limit)
        if len(pairs) > durable:
            pairs.sort()
        return pairs[:limit]

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        return self._durable.unreadable(start, end)

    def status(self) -> dict[str, CacheStatus]:
        """Of the namespaces kept in memory."""
        return {name.decode(): store.status() for name, store in self._volatile.items()}

    def is_volatile(self, key: bytes) -> bool:
        """True if what is at `key` is kept in memory only."""
        return self._store_of(key) is not self._durable

    def _store_of(self, key: bytes) -> Store:
        if key[:1] != RECORD:
            return self._durable
        namespace = key[_NAMESPACE_AT : key.find(0, _NAMESPACE_AT)]
        return self._volatile.get(namespace, self._durable)


def volatile_stores(
    namespaces: Mapping[str, NamespaceSettings], runtime: Runtime, partition_bits: int
) -> dict[str, VolatileStore]:
    """One for each namespace that is kept in memory."""
    return {
        name: VolatileStore(runtime, settings.max_memory, settings.eviction, partition_bits)
        for name, settings in namespaces.items()
        if settings.durability == "none"
    }
