"""A walk over the records of a node, in the order of storage keys and a page at a time, with pauses
for clients' requests (`operations/pace.py`). The one at start meets all of them: it builds the hash
trees and counts the entries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.model.errors import StorageError
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.pages import read_page
from kvorum.replica.trees import END, START

_PAGE: Final = 256
_RECORDS_LIKE_ONE: Final = 16
"""Reading so many costs about as much as sending one to another node."""
_FIRST: Final = START + bytes(8)

Meet = Callable[[list[tuple[bytes, bytes]], bytes], object]


class Walk:
    """Calls `meet(records, upto)` for each page: `records` are all that there are from the end of
    the last page to before the storage key `upto`. It goes over start <= storage key < end.
    `ended`: all have been met.
    """

    def __init__(
        self,
        replica: LocalReplica,
        operations: Operations,
        meet: Meet,
        start: bytes = _FIRST,
        end: bytes = END,
    ) -> None:
        self.ended = False
        self._replica = replica
        self._operations = operations
        self._meet = meet
        self._cursor, self._end = start, end
        self._stopped = False

    def start(self) -> None:
        self._operations.runtime.call_soon(self._page)

    def stop(self) -> None:
        self._stopped = True

    def _page(self) -> None:
        if self._stopped:
            return
        try:
            page = read_page(self._replica, self._cursor, self._end, _PAGE)
        except StorageError:
            # The store has failed for good and tells the node itself; the walk never ends.
            return
        self._cursor = page.pairs[-1][0] + b"\0" if page.more else self._end
        self.ended = not page.more
        self._meet(page.pairs, self._cursor)
        if self.ended:
            return
        pause_s = self._operations.pace.pause_s(len(page.pairs) // _RECORDS_LIKE_ONE)
        if pause_s:
            self._operations.runtime.call_later(pause_s, self._page)
        else:
            self._operations.runtime.call_soon(self._page)
