"""What is left elsewhere of a namespace that was shredded here, and must not come back.

    b"x"  namespace   ->   8 bytes: shredded as of (ms)

The nodes of a cluster are told to shred one after another, and one may be away. Whoever has
not done it yet still holds the records, and would hand them over, as a peer does with what
another one lacks. So a node remembers from when on the namespace is a new one: a record all
of whose writes are older is not stored, and a version that is older is taken out. All nodes
are told the same moment, so they end up with the same records.

A dot's time is its writer's wall clock, which may be behind the moment: that may have been given
by another clock. What a node that has shredded writes nevertheless belongs to the present life: its
dots are given a later time (`LocalReplica.mint`). A node that has not shredded yet gives its
clock's, and what is of a former life by that is refused here, so nobody takes it for stored
(`LocalReplica.put`).
"""

from __future__ import annotations

from typing import Any, Final

from kvorum.model import prefixes
from kvorum.model.record import decode, encode, since
from kvorum.sealing.seal import namespace_of
from kvorum.storage.store import Done, FlushTarget, ignore

_START: Final = prefixes.SHRED_HORIZON
_END: Final = prefixes.end_of(_START)
_PAGE: Final = 1000


class ShredHorizon:
    __slots__ = ("_store", "since_ms")

    def __init__(self, store: FlushTarget) -> None:
        """`store` is the one below the seal."""
        self._store = store
        self.since_ms: dict[bytes, int] = {}
        start = _START
        while notes := store.scan(start, _END, _PAGE):
            self.since_ms |= {note[1:]: int.from_bytes(moment) for note, moment in notes}
            start = notes[-1][0] + b"\0"

    def end(self, namespace: str, now_ms: int, done: Done = ignore, arg: Any = None) -> None:
        """What was written to `namespace` up to `now_ms` belongs to a former life of it.

        `done(arg, error)` once that is sure to be remembered.
        """
        name = namespace.encode()
        moment_ms = max(now_ms, self.since_ms.get(name, 0))
        self.since_ms[name] = moment_ms
        self._store.write(_START + name, moment_ms.to_bytes(8))
        self._store.sync(done, arg)

    def without(self, key: bytes, data: bytes) -> bytes:
        """The record `data` of `key` as of its namespace's present life; empty if all is older.

        Raises CorruptRecord.
        """
        moment_ms = self.since_ms.get(namespace_of(key))
        if moment_ms is None:
            return data
        record = decode(key, data)
        left = since(record, moment_ms)
        if left is record:
            return data
        return encode(key, left) if left.context else b""
