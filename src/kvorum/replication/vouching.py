"""Vouching: for which keys of a range enough replicas can speak.

A replica cannot speak for what is damaged on its disk, and not for what is in doubt
(`unverified_tokens.py`). Nobody knows the keys of either, but the ranges in which they lie.
Elsewhere it speaks, also where it has nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from kvorum.storage.store import KeyRange


class Unvouched(NamedTuple):
    """start <= key < end, for which `silent` nodes cannot speak, and too few others are left."""

    start: bytes
    end: bytes
    silent: list[int]


class Vouching:
    def __init__(self, needed: int, unreadable: Mapping[int, Sequence[KeyRange]]) -> None:
        """`unreadable`: of each node that was asked, where it cannot speak."""
        self._spare = len(unreadable) - needed
        self._bounds = {node: _bounds(unreadable[node]) for node in sorted(unreadable)}

    def silent(self, key: bytes) -> list[int]:
        """The nodes that cannot speak for `key`."""
        return [node for node, bounds in self._bounds.items() if bisect_right(bounds, key) % 2]

    def vouches(self, key: bytes) -> bool:
        return len(self.silent(key)) <= self._spare

    def unvouched(self) -> Iterator[Unvouched]:
        """All ranges for which it does not vouch, in order."""
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
