"""The shred horizon: up to when the writes to a namespace were shredded or dropped.

    b"x"  namespace   ->   8 bytes: the horizon (ms since 1970)

The nodes of a cluster shred a namespace one after another, and one may be away. A node that has
not shredded yet still holds the old records, and offers them to others as what these lack. So each
node remembers the horizon: it removes the versions of a record that are not later, and refuses a
record that has no later write. All nodes are given the same horizon, so they converge.

The time of a dot is its writer's wall clock, which may be behind the horizon, given by another
node's clock. A node that has shredded therefore gives its new dots a time after the horizon
(`LocalReplica.mint`). A write by a node that has not shredded yet is refused here if its time is
before the horizon, so it is not acknowledged (`LocalReplica.put`).
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
    """The shred horizons of all namespaces: `since_ms`, by name, in ms since 1970."""

    def __init__(self, store: FlushTarget) -> None:
        """`store` is the one below the seal."""
        self._store = store
        self.since_ms: dict[bytes, int] = {}
        start = _START
        while notes := store.scan(start, _END, _PAGE):
            self.since_ms |= {note[1:]: int.from_bytes(moment) for note, moment in notes}
            start = notes[-1][0] + b"\0"

    def end(self, namespace: str, before_ms: int, done: Done = ignore, arg: Any = None) -> None:
        """Move the horizon of `namespace` to `before_ms`, unless it is later already.

        `done(arg, error)` is called once that is durable.
        """
        name = namespace.encode()
        moment_ms = max(before_ms, self.since_ms.get(name, 0))
        self.since_ms[name] = moment_ms
        self._store.write(_START + name, moment_ms.to_bytes(8))
        self._store.sync(done, arg)

    def without(self, key: bytes, data: bytes) -> bytes:
        """`data` without versions up to the horizon; b"" if none is later. Raises CorruptRecord."""
        moment_ms = self.since_ms.get(namespace_of(key))
        if moment_ms is None:
            return data
        record = decode(key, data)
        left = since(record, moment_ms)
        if left is record:
            return data
        return encode(key, left) if left.context else b""
