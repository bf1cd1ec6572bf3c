"""Merkle trees over the token space, kept up to date by one addition for each write.

The token space is cut into 2^bits leaves, a partition being a run of them. A leaf is the XOR
of the digests of all records whose tokens fall into it: XOR, because then replacing a record
is `leaf ^= old ^ new`, whatever else is there, and the order of writes does not matter
(M. Bellare, D. Micciancio, "A New Paradigm for Collision-Free Hashing", 1997; XOR does not
resist an attacker, and between nodes of one cluster need not). A record's digest is
its check, which covers key, versions and values (`model/record.py`).

Above the leaves there are levels, each cutting the space 32 times finer than the one before:

    level 0          one range a partition: the root of its tree
    level 1 ..       32 ranges for each of the level above
    the last level   one leaf

Only leaves are kept. The hash of a range is XXH3-64 over its leaves, eight bytes each and
little-endian, worked out when somebody asks: 1,024 leaves take half a microsecond. So upper
levels cost a write nothing, and changes of two leaves do not cancel as in a XOR.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import Final

import xxhash

from kvorum.model.keys import partition_range
from kvorum.model.prefixes import RECORDS_END

LEAF_BITS: Final = 18
"""262,144 leaves, 2 MB: four records a leaf at a million records."""
HASH_BYTES: Final = 8
_LEAVES_OF_PARTITION_BITS_MIN: Final = 4
_LEAVES_OF_PARTITION_BITS_MAX: Final = 10
_FAN_OUT_BITS: Final = 5

_number = int.from_bytes


def levels(partition_bits: int) -> tuple[int, ...]:
    """How many bits of a token choose the range, by level: from the partitions to the leaves."""
    most = min(LEAF_BITS, partition_bits + _LEAVES_OF_PARTITION_BITS_MAX)
    bits = max(most, partition_bits + _LEAVES_OF_PARTITION_BITS_MIN)
    return (*range(partition_bits, bits, _FAN_OUT_BITS), bits)


class Forest:
    """The hash trees of all partitions of one node: their leaves."""

    __slots__ = ("_bits", "_leaves", "_levels", "_shift")

    def __init__(self, partition_bits: int) -> None:
        self._levels = levels(partition_bits)
        self._bits = bits = self._levels[-1]
        self._shift = 64 - bits
        self._leaves = array("Q", [0]) * (1 << bits)

    def replace(self, key: bytes, old: bytes, new: bytes) -> None:
        """The record at storage key `key` was `old` and is `new`, encoded; empty for none."""
        leaf = _number(key[1:9]) >> self._shift
        self._leaves[leaf] ^= _number(old[:8]) ^ _number(new[:8])

    def clear(self) -> None:
        """As if there were no records."""
        self._leaves = array("Q", [0]) * len(self._leaves)

    def correct(self, start: bytes, end: bytes, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Set the leaves that lie in start <= storage key < end as a whole to what they hold.

        `records` are all there are in that range. Returns how many leaves were wrong.
        """
        first, last = self._leaf_from(start), self._leaf_of(end)
        if first >= last:
            return 0
        truth = array("Q", bytes(8 * (last - first)))
        for key, data in records:
            leaf = self._leaf_of(key)
            if first <= leaf < last:
                truth[leaf - first] ^= int.from_bytes(data[:8])
        kept = self._leaves[first:last]
        if kept == truth:
            return 0
        self._leaves[first:last] = truth
        return sum(a != b for a, b in zip(kept, truth, strict=True))

    # Levels

    @property
    def last_level(self) -> int:
        """The level of the leaves."""
        return len(self._levels) - 1

    def width(self, level: int) -> int:
        """How many ranges a level has."""
        return 1 << self._levels[level]

    def partition_of(self, level: int, index: int) -> int:
        """The partition of a range of `level`."""
        return index >> (self._levels[level] - self._levels[0])

    def children(self, level: int, index: int) -> range:
        """The ranges of the next level that make up one of `level`."""
        shift = self._levels[level + 1] - self._levels[level]
        return range(index << shift, (index + 1) << shift)

    def hashes(self, level: int, indices: Iterable[int]) -> bytes:
        """The hashes of ranges of `level`, one after another."""
        shift, leaves = self._bits - self._levels[level], self._leaves
        return b"".join(_hash(leaves[index << shift : (index + 1) << shift]) for index in indices)

    def key_range(self, first: int, last: int) -> tuple[bytes, bytes]:
        """The storage keys [start, end) of the leaves `first` to `last`."""
        return partition_range(first, self._bits)[0], partition_range(last, self._bits)[1]

    def leaf_range(self, key: bytes) -> tuple[bytes, bytes]:
        """The storage keys [start, end) of the leaf that `key` falls into."""
        leaf = self._leaf_of(key)
        return self.key_range(leaf, leaf)

    def _leaf_of(self, key: bytes) -> int:
        """The leaf of a storage key; one past the last for the end of the key space."""
        return int.from_bytes(key[1:9]) >> self._shift if key < RECORDS_END else 1 << self._bits

    def _leaf_from(self, start: bytes) -> int:
        """The first leaf that does not begin before the storage key `start`."""
        leaf = self._leaf_of(start)
        return leaf if start <= partition_range(leaf, self._bits)[0] else leaf + 1


def _hash(leaves: array[int]) -> bytes:
    """`leaves` must be a copy: bytes are put in order in place."""
    if sys.byteorder == "big":
        leaves.byteswap()
    return xxhash.xxh3_64_digest(leaves)
