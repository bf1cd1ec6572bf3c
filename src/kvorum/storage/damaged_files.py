"""Reading on where a file of the engine is damaged.

A block of a sorted file (some 4 KB, a few dozen records) that fails its checksum ends every
iterator that comes to it, and a seek into it fails too. What lies beyond is sound, so a scan
goes on there; nobody knows the keys in the block, but the engine says whether a seek fails:

    good keys | damaged block ............. | good keys
             ^ after    fails, fails, fails   ^ the first seek that does not

The distance is found by doubling, so that a second damage further on is not jumped over as
well, then halving. It takes a hundred seeks, and is remembered: a scan that begins anywhere
within a known gap goes on behind it.

Two traps of the binding, both met below. `RdictItems` ends silently at a read error, so a
scan steps an `RdictIter` and asks its status. A live iterator keeps the files locked after
`close`, so none outlives its scan.

What is left out of a scan is missing as if it had never been there: it is for the caller's
peers to have it. A read of one key in the block still fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from rocksdict import Rdict, ReadOptions

from kvorum.model.errors import CorruptRecord, StorageError
from kvorum.storage.engine import CORRUPTION
from kvorum.storage.store import KeyRange

_FILE: Final = re.compile(r"[^\s/]+\.(?:sst|log|blob)\b")
_FILES_MAX: Final = 100
_GAPS_MAX: Final = 1000
_FINE_BYTES: Final = 12
"""How far beyond what start and end share keys are told apart: a mark and a token, and more."""


class DamagedFiles:
    """What is known to be damaged, and scans that pass it."""

    __slots__ = ("_engine", "_gaps", "found", "on_gap")

    def __init__(self, engine: Rdict) -> None:
        self._engine = engine
        self.on_gap: Callable[[], object] = _unheard
        """Called within a scan that has left out pairs which it has not left out before."""
        self._gaps: list[tuple[bytes, bytes]] = []
        self.found: dict[str, str] = {}
        """File name to what the engine said first."""

    def note(self, error: Exception) -> bool:
        """True if `error` says that a file is damaged; then it is remembered."""
        text = str(error)
        if CORRUPTION not in text:
            return False
        named = _FILE.search(text)
        if named is not None and len(self.found) < _FILES_MAX:
            self.found.setdefault(named[0], text[:300])
        return True

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` pairs with start <= key < end that can be read. Raises StorageError."""
        pairs: list[tuple[bytes, bytes]] = []
        while len(pairs) < limit and start < end:
            try:
                self._read(start, end, limit, pairs)
            except CorruptRecord:
                start = self._beyond(max(start, pairs[-1][0] + b"\0") if pairs else start, end)
            else:
                break
        return pairs

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        """What scans of start <= key < end leave out, as far as they have met it."""
        if len(self._gaps) >= _GAPS_MAX:
            return [(start, end)]
        return [
            (max(gap, start), min(beyond, end))
            for gap, beyond in self._gaps
            if gap < end and start < beyond and not self._can_seek(gap, beyond)
        ]

    def _read(self, start: bytes, end: bytes, limit: int, pairs: list[tuple[bytes, bytes]]) -> None:
        """Add to `pairs` what can be read. Raises CorruptRecord where damage ends it too soon."""
        cursor = None
        try:
            cursor = self._cursor(start, end)
            while len(pairs) < limit and cursor.valid():
                pairs.append((cursor.key(), cursor.value()))
                cursor.next()
            cursor.status()
        except Exception as error:
            raise self._failure(error) from error
        finally:
            del cursor  # It keeps the files locked, and a traceback may keep this frame.

    def _beyond(self, start: bytes, end: bytes) -> bytes:
        """Where a seek first succeeds again; `end` if nowhere before."""
        for first, known in self._gaps:
            if first <= start < known and self._can_seek(known, end):
                return known
        shared = 0
        while shared < len(start) and start[shared] == end[shared]:
            shared += 1
        size = shared + _FINE_BYTES

        def key(number: int) -> bytes:
            return number.to_bytes(size)

        fails = int.from_bytes(start[:size].ljust(size, b"\0"))
        last = int.from_bytes(end[:size].ljust(size, b"\0"))
        step = 1
        while fails + step < last and not self._can_seek(key(fails + step), end):
            fails += step
            step *= 2
        good = min(fails + step, last)
        while good - fails > 1:
            middle = (fails + good) // 2
            if self._can_seek(key(middle), end):
                good = middle
            else:
                fails = middle
        beyond = key(good) if good < last else end
        self._remember(start, beyond)
        self.on_gap()
        return beyond

    def _remember(self, start: bytes, beyond: bytes) -> None:
        """Where it overlaps or meets a known gap they are one, whose end is the later one."""
        apart = []
        for first, last in self._gaps:
            if last < start or beyond < first:
                apart.append((first, last))
            else:
                start, beyond = min(start, first), max(beyond, last)
        if len(apart) < _GAPS_MAX:
            apart.append((start, beyond))
        self._gaps = apart

    def _can_seek(self, start: bytes, end: bytes) -> bool:
        cursor = None
        try:
            cursor = self._cursor(start, end)
            cursor.status()
        except Exception as error:
            failure = self._failure(error)
            if isinstance(failure, CorruptRecord):
                return False
            raise failure from error
        finally:
            del cursor
        return True

    def _failure(self, error: Exception) -> StorageError:
        if self.note(error):
            return CorruptRecord(f"A file of the storage engine is damaged: {error}.")
        return StorageError(f"The storage engine cannot read a range: {error}.")

    def _cursor(self, start: bytes, end: bytes) -> Any:
        options = ReadOptions()
        # The engine keeps a pointer to these bytes: `end` must live as long as the cursor.
        options.set_iterate_upper_bound(end)
        # A scan passes once; it must not evict what is read often. The binding's stub is wrong.
        options.fill_cache(False)  # type: ignore[call-arg]
        cursor = self._engine.iter(options)
        cursor.seek(start)
        return cursor


def _unheard() -> None:
    """Nobody wants to know."""
