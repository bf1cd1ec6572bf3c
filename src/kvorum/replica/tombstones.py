"""The tombstones: the tombstones that this node has to see collected.

Those of keys whose first owner it is; found as they are written, and once by the walk over
the store at start. It is bounded: what does not fit is found by another walk later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from kvorum.model.record import decode, digest, is_sound
from kvorum.runtime.ports import Runtime

LAST_BYTE: Final = 0x90
"""What a tombstone ends with: no versions, in MessagePack. A value may end so, too."""
TOMBSTONES_MAX: Final = 100_000


class Tomb:
    """`since`: from when on the record has been this one, monotonic. `agreed_at`: when all
    owners were found to have held it; None until then.
    """

    __slots__ = ("agreed_at", "digest", "since")

    def __init__(self, mark: bytes, since: float) -> None:
        self.digest = mark
        self.since = since
        self.agreed_at: float | None = None


class Tombstones:
    __slots__ = ("_runtime", "_tends", "overflowed", "tombs")

    def __init__(self, runtime: Runtime, tends: Callable[[bytes], bool]) -> None:
        """`tends` says whether the tombstone at a storage key is this node's to collect."""
        self.tombs: OrderedDict[bytes, Tomb] = OrderedDict()
        self.overflowed = False
        self._runtime = runtime
        self._tends = tends

    def see(self, key: bytes, data: bytes) -> None:
        """The record at `key` is `data`, which may be a tombstone."""
        if not is_tombstone(key, data) or not self._tends(key):
            return
        mark = digest(data)
        known = self.tombs.get(key)
        if known is not None and known.digest == mark:
            return
        if known is None and len(self.tombs) >= TOMBSTONES_MAX:
            self.overflowed = True
        else:
            self.tombs[key] = Tomb(mark, self._runtime.now())


def is_tombstone(key: bytes, data: bytes) -> bool:
    """True if `data` is a sound record of `key` without versions."""
    return data[-1:] == b"\x90" and is_sound(key, data) and not decode(key, data).versions
