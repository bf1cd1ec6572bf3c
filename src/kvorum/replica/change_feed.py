"""The change feed: subscribers are told of every change in this node's copy.

Each is told once for each record that is stored or dropped, in that order, before the change is
durable, and whatever the reason: a client's write, a repair, a hint, the removal of an expired
version. Evictions of namespaces kept in memory are no changes. Records travel encoded.
"""

from __future__ import annotations

from collections.abc import Callable

OnChange = Callable[[int, bytes, bytes, bytes], object]
"""Called with the partition, the storage key, and the record before and after; b"" for none."""


class ChangeFeed:
    """The subscribers to the changes of one node's records."""

    __slots__ = ("_partition", "listeners")

    def __init__(self, partition: Callable[[bytes], int]) -> None:
        """`partition` returns the partition of a token."""
        self._partition = partition
        self.listeners: tuple[OnChange, ...] = ()

    def subscribe(self, listener: OnChange) -> Callable[[], None]:
        """Have `listener` told of all changes from now on. Returns a function that ends that."""
        self.listeners += (listener,)

        def unsubscribe() -> None:
            self.listeners = tuple(each for each in self.listeners if each is not listener)

        return unsubscribe

    def publish(self, key: bytes, old: bytes, new: bytes) -> None:
        """Tell all subscribers that the record at the storage key `key` was `old` and is `new`."""
        partition = self._partition(key[1:9])
        for listener in self.listeners:
            listener(partition, key, old, new)
