"""What is left elsewhere of a namespace that was shredded here, and must not come back.

    b"x"  namespace   ->   8 bytes: shredded as of (ms)

The nodes of a cluster are told to shred one after another, and one may be away. Whoever has
not done it yet still holds the records, and would hand them over, as a peer does with what
another one lacks. So a node remembers from when on the namespace is a new one: a record all
of whose writes are older is not stored, and a version that is older is taken out. All nodes
are told the same moment, so they end up with the same records.

A dot's time is its writer's wall clock. A write that comes within the difference of two clocks
of the shredding may be lost with what was shredded.
"""

from __future__ import annotations

from typing import Final

from kvorum.model.errors import StorageError
from kvorum.model.record import Record, decode, encode
from kvorum.sealing.seal import namespace_of
from kvorum.storage.store import Store

_START: Final = b"x"
_END: Final = b"y"
_NAMESPACES_MAX: Final = 1000


class FormerLives:
    __slots__ = ("_store", "since_ms")

    def __init__(self, store: Store) -> None:
        """`store` is the one below the seal."""
        self._store = store
        self.since_ms = {
            note[1:]: int.from_bytes(since)
            for note, since in store.scan(_START, _END, _NAMESPACES_MAX)
        }

    def end(self, namespace: str, now_ms: int) -> None:
        """What was written to `namespace` up to `now_ms` belongs to a former life of it."""
        name = namespace.encode()
        since = max(now_ms, self.since_ms.get(name, 0))
        self.since_ms[name] = since
        self._store.put(_START + name, since.to_bytes(8), _ignore, None)

    def without(self, key: bytes, data: bytes) -> bytes:
        """The record `data` of `key` as of its namespace's present life; empty if all is older.

        Raises CorruptRecord.
        """
        since = self.since_ms.get(namespace_of(key))
        if since is None:
            return data
        record = decode(key, data)
        if all(event.timestamp <= since for event in record.context):
            return b""
        kept = tuple(version for version in record.versions if version.dot.timestamp > since)
        if len(kept) == len(record.versions):
            return data
        return encode(key, Record(record.context, kept))


def _ignore(_arg: object, _error: StorageError | None) -> None:
    """The store reports its failure to the node."""
