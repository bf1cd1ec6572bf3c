"""The Store port: an ordered map of bytes to bytes whose writes say when they are durable.

Contract (one test suite checks every implementation):

- `get` and `scan` see every earlier `put` at once, durable or not.
- `put` and `delete` return before `done` is called. `done(arg, None)` means the write is
  durable in the sense the store was opened with; `done(arg, error)` that it is not and the
  store takes no more writes. Each `done` is called exactly once, in the order of the writes.
- Writes are grouped: one log sync covers all that gathered while the one before it ran.
- After a crash the store holds a prefix of the write sequence that includes all writes
  whose `done` was called without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import Enum
from typing import Any, Final, Protocol

from kvorum.model.errors import StorageError

Done = Callable[[Any, StorageError | None], None]


class Cold(Enum):
    """Of a pair that has to be fetched from the disk."""

    COLD = 0


COLD: Final = Cold.COLD


KeyRange = tuple[bytes, bytes]
"""start <= key < end."""


def ignore(_arg: object, _error: StorageError | None) -> None:
    """For writes nobody waits for. The store itself reports its failure to the node."""


class Store(Protocol):
    @property
    def failed(self) -> StorageError | None:
        """Why the store takes no more writes; None while it does. From the first refused write
        on, and then for good, `get` may miss writes that it has shown before.
        """

    @property
    def full(self) -> bool:
        """True while there is no room for new data. The store takes all writes nevertheless:
        whoever writes holds back what can wait, so that there is room for what cannot.
        """

    @property
    def pressed(self) -> bool:
        """True while writes come faster than the store can file them. It takes them nevertheless,
        but would soon make the writer wait: whoever takes in new ones refuses them.
        """

    def get(self, key: bytes) -> bytes | None: ...

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        """As `get(key)`, if the pair is in memory. Else COLD: it is being fetched, and `then(arg)`
        is called when `get` finds it there; not at all if the store is closed before.
        """

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None: ...

    def delete(self, key: bytes, done: Done, arg: Any) -> None: ...

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` pairs with start <= key < end, in key order.

        What cannot be read is left out, see `unreadable`.
        """

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        """Where pairs with start <= key < end cannot be read, as far as that has been found. After
        a scan of them it is all that was left out.
        """


class FlushTarget(Store, Protocol):
    """A store for what is durable elsewhere until it is here."""

    def write(self, key: bytes, value: bytes | None) -> None:
        """A write that nobody waits for, None for a deletion. It has its place in the order of
        writes, and becomes durable with the next one that somebody waits for, or by `sync`.
        """

    def sync(self, done: Done, arg: Any) -> None:
        """`done(arg, None)` once all earlier writes are durable."""

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        """The same, but for pairs in the place of which something is on its way: `replaced`."""
