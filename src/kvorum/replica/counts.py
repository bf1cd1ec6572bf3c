"""The counts of this node's entries, by namespace and partition (`model/entry_counts.py`).

They are kept in memory, and counted at each start by the walk that builds the hash trees, while
writes go on:

    b"d" ....counted.... | ....left to the walk.... | ....counted.... b"e"
                         ^ gap begins               ^ gap ends

A write in a counted range changes the counts at once, one in the gap is met by the walk. Where a
record was damaged nobody knows what it was, so its partition is counted anew (`repair/recount.py`):
it becomes the gap. Meanwhile the last complete counts are told.

Namespaces kept in memory are not counted here: their stores give up entries by themselves, and
count (`storage/volatile.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kvorum.model.catalog import Catalog
from kvorum.model.entry_counts import EntryCounts
from kvorum.model.keys import namespace_of, partition_range
from kvorum.replica.trees import END, START

Grow = Callable[[bytes, int], object]
Replace = Callable[[bytes, bytes, bytes], object]


class Counts:
    """The counts of one node, kept current with each record that is stored.

    `counting`: a part is being counted anew.
    """

    __slots__ = (
        "_alone",
        "_bits",
        "_by_namespace",
        "_complete",
        "_gap_begins",
        "_gap_ends",
        "grow",
        "replace",
    )

    def __init__(self, catalog: Catalog, partition_bits: int) -> None:
        self._bits = partition_bits
        self._gap_begins, self._gap_ends = START, END
        self._by_namespace: dict[bytes, EntryCounts] = {}
        self._complete: dict[bytes, EntryCounts] = {}
        """The last complete counts; empty unless a part is counted anew."""
        self.grow: Grow = self._grow
        """Called where an entry's record is replaced, with the storage key and by how many bytes
        the new one is longer."""
        self.replace: Replace = self._replace
        """Called with a storage key and the record that was and that is there, encoded; empty for
        none. While nothing is counted anew and there is one namespace, both are that one's."""
        self._alone = False
        self.follow(catalog)

    def follow(self, catalog: Catalog) -> None:
        """Go over to the namespaces of `catalog`; the counts of one that is gone go."""
        names = [
            name.encode()
            for name, settings in catalog.namespaces.items()
            if settings.durability != "none"
        ]
        known = self._by_namespace
        self._by_namespace = {name: known.get(name) or EntryCounts(self._bits) for name in names}
        self._complete = {name: self._complete[name] for name in names if name in self._complete}
        self._alone = len(names) == len(catalog.namespaces) == 1
        self._shorten()

    def _shorten(self) -> None:
        """Have calls go straight to the counts of the only namespace."""
        if self._alone and not self.counting:
            (counts,) = self._by_namespace.values()
            self.replace, self.grow = counts.replace, counts.grow
        else:
            self.replace, self.grow = self._replace, self._grow

    def _replace(self, key: bytes, old: bytes, new: bytes) -> None:
        if key < self._gap_begins or key >= self._gap_ends:
            counts = self._by_namespace.get(namespace_of(key))
            if counts is not None:
                counts.replace(key, old, new)

    def _grow(self, key: bytes, change: int) -> None:
        if key < self._gap_begins or key >= self._gap_ends:
            counts = self._by_namespace.get(namespace_of(key))
            if counts is not None:
                counts.grow(key, change)

    def count(self, records: Iterable[tuple[bytes, bytes]], upto: bytes) -> None:
        """`records` are all there are from where the gap begins to before `upto`."""
        self._gap_begins = upto
        for key, data in records:
            self._replace(key, b"", data)
        if not self.counting:
            self._gap_begins = self._gap_ends = END
            self._complete = {}
            self._shorten()

    def begin(self) -> None:
        """Begin to count all anew."""
        self._keep_complete()
        for name in self._by_namespace:
            self._by_namespace[name] = EntryCounts(self._bits)
        self._gap_begins, self._gap_ends = START, END
        self._shorten()

    def begin_partition(self, partition: int) -> tuple[bytes, bytes]:
        """Begin to count `partition` anew, while nothing else is. Returns its storage keys."""
        self._keep_complete()
        for counts in self._by_namespace.values():
            counts.clear(partition)
        self._gap_begins, self._gap_ends = partition_range(partition, self._bits)
        self._shorten()
        return self._gap_begins, self._gap_ends

    def _keep_complete(self) -> None:
        if not self.counting:
            self._complete = {name: counts.copy() for name, counts in self._by_namespace.items()}

    @property
    def counting(self) -> bool:
        return self._gap_begins < self._gap_ends

    def by_namespace(self) -> Mapping[str, EntryCounts]:
        """The counts of each namespace: the last complete ones, or those so far if there were
        none.
        """
        return {
            name.decode(): self._complete.get(name, counts)
            for name, counts in self._by_namespace.items()
        }
