"""The tombstones that this node has to see collected: those of keys whose first owner it is.

They are found as they are written, and once by the walk over the store at start. Their number is
bounded: those beyond the bound are found by another walk later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kvorum.model.record import digest, is_tombstone
from kvorum.runtime.ports import Runtime

TOMBSTONES_MAX: Final = 100_000


class Tombstone:
    """A tombstone on its way to be collected.

    `digest`: of its record. `since`: from when on the record has been this one, monotonic.
    `agreed_at`: when all owners were found to have held it; None until then.
    """

    __slots__ = ("agreed_at", "digest", "since")

    def __init__(self, mark: bytes, since: float) -> None:
        self.digest = mark
        self.since = since
        self.agreed_at: float | None = None


class Tombstones:
    """The tombstones that this node collects, by storage key, the one looked at last behind.

    `overflowed`: more were met than are kept.
    """

    __slots__ = ("_collects", "_runtime", "known", "overflowed")

    def __init__(self, runtime: Runtime, collects: Callable[[bytes], bool]) -> None:
        """`collects` says whether the tombstone at a storage key is this node's to collect."""
        self.known: OrderedDict[bytes, Tombstone] = OrderedDict()
        self.overflowed = False
        self._runtime = runtime
        self._collects = collects

    def see(self, key: bytes, data: bytes) -> None:
        """The record at `key` is `data`, which may be a tombstone."""
        if not is_tombstone(key, data) or not self._collects(key):
            return
        mark = digest(data)
        known = self.known.get(key)
        if known is not None and known.digest == mark:
            return
        if known is None and len(self.known) >= TOMBSTONES_MAX:
            self.overflowed = True
        else:
            self.known[key] = Tombstone(mark, self._runtime.now())
