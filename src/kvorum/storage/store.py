"""The Store port: an ordered map of bytes to bytes whose writes say when they are durable.

Contract (one test suite checks every implementation):

- `get` and `scan` see every earlier `put` at once, durable or not.
- `put` and `delete` raise nothing, and return before `done` is called. `done(arg, None)` means the
  write is durable in the sense the store was opened with; `done(arg, error)` that it is not. Each
  `done` is called exactly once, in the order of the writes. What cannot be taken is answered with
  its error: whoever puts has often changed something else by then, and must not be left half-way.
- After an error that `failed` shows the store takes no more writes.
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


class ReadableStore(Protocol):
    """What can be read of a store, and how it is."""

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
        """True while flush and compaction lag behind writes. The store takes them nevertheless, but
        would soon make the writer wait: whoever takes in new ones refuses them.
        """

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`; None if there is none. Raises CorruptRecord if it is damaged,
        StorageError if it cannot be read.
        """

    def find(self, key: bytes, then: Callable[[Any], object], arg: Any) -> bytes | Cold | None:
        """As `get(key)`, if the pair is in memory. Else COLD: it is being fetched, and `then(arg)`
        is called when `get` finds it there; not at all if the store is closed before.
        """

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` pairs with start <= key < end, in key order.

        What cannot be read is left out, see `unreadable`.
        """


class Store(ReadableStore, Protocol):
    """A store that says of each write when it is durable."""

    def put(self, key: bytes, value: bytes, done: Done, arg: Any) -> None:
        """Store `value` at `key`; `done(arg, error)` once it is durable, or cannot be."""

    def delete(self, key: bytes, done: Done, arg: Any) -> None:
        """Delete what is at `key`, if anything; `done` as of a `put`."""

    def unreadable(self, start: bytes, end: bytes) -> list[KeyRange]:
        """Where pairs with start <= key < end cannot be read, as far as that has been found. After
        a scan of them it is all that was left out.
        """


class FlushTarget(ReadableStore, Protocol):
    """A store for what is durable elsewhere until it is here, and for notes that may be lost."""

    def write(self, key: bytes, value: bytes | None) -> None:
        """Store `value` at `key`; None deletes what is there. Writes become durable in their order,
        at the latest by `sync`. A failure is seen in `failed`, and told by `sync`.
        """

    def sync(self, done: Done, arg: Any) -> None:
        """`done(arg, error)` once all earlier writes are durable, or cannot be."""

    def unreadable(
        self, start: bytes, end: bytes, replaced: Collection[bytes] = ()
    ) -> list[KeyRange]:
        """As a store's, but for pairs in the place of which something is on its way: `replaced`."""
