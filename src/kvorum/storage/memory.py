"""MemoryStore: the Store port in memory, for tests, simulations and throw-away data.

The keys stand sorted beside the map, so a scan is a slice. "Durable" means "there": each
`done` runs with the next turn.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Collection
from typing import Any

from kvorum.model.errors import StorageError
from kvorum.runtime.ports import Runtime
from kvorum.storage.store import Done, KeyRange


class MemoryStore:
    """A Store and a FlushTarget in memory."""

    __slots__ = ("_keys", "_map", "_runtime", "failed", "full", "pressed")

    def __init__(self, runtime: Runtime) -> None:
        self.failed: StorageError | None = None
        self.full = False
        self.pressed = False
        self._runtime = runtime
        self._map: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        return self._map.get(key)

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | None:
        return self.get(key)

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        self.write(key, value)
        self._runtime.call_soon(done, arg, None)

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        self.write(key, None)
        self._runtime.call_soon(done, arg, None)

    def write(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            if self._map.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]
            return
        if key not in self._map:
            insort(self._keys, key)
        self._map[key] = value

    def sync(self, done: Done, arg: Any) -> None:
        self._runtime.call_soon(done, arg, None)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        first = bisect_left(self._keys, start)
        last = bisect_left(self._keys, end, first)
        return [(key, self._map[key]) for key in self._keys[first : min(last, first + limit)]]

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        return []
