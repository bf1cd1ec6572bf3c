"""Vouching: which keys of a range enough replicas can read.

A replica cannot read keys that are damaged on its disk, and keys whose tokens are unverified
(`replica/unverified_tokens.py`). Of both only the ranges are known in which they lie, not the keys.
Everywhere else the replica vouches for what it has, also for having nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from kvorum.storage.store import KeyRange


class Unvouched(NamedTuple):
    """The range start <= key < end, which the `silent` nodes cannot read, and too few others are
    left.
    """

    start: bytes
    end: bytes
    silent: list[int]


class Vouching:
    """For each key, whether enough of the replicas that were asked can read it."""

    def __init__(self, needed: int, unreadable: Mapping[int, Sequence[KeyRange]]) -> None:
        """`needed`: how many are enough. `unreadable`: by node that was asked, the ranges that it
        cannot read.
        """
        self._spare = len(unreadable) - needed
        self._bounds = {node: _bounds(unreadable[node]) for node in sorted(unreadable)}

    def silent(self, key: bytes) -> list[int]:
        """The nodes that cannot read `key`."""
        return [node for node, bounds in self._bounds.items() if bisect_right(bounds, key) % 2]

    def vouches(self, key: bytes) -> bool:
        """True if enough nodes can read `key`."""
        return len(self.silent(key)) <= self._spare

    def unvouched(self) -> Iterator[Unvouched]:
        """All ranges that too few nodes can read, in order."""
        bounds = sorted({bound for each in self._bounds.values() for bound in each})
        for start, end in pairwise(bounds):
            if not self.vouches(start):
                yield Unvouched(start, end, self.silent(start))


def _bounds(ranges: Sequence[KeyRange]) -> list[bytes]:
    """Where `ranges`, joined, begin and end in turns."""
    bounds: list[bytes] = []
    for start, end in sorted(ranges):
        if bounds and start <= bounds[-1]:
            bounds[-1] = max(bounds[-1], end)
        else:
            bounds += (start, end)
    return bounds
