"""Merkle trees over the token space, kept up to date by one addition for each write.

The token space is cut into 2^bits leaves, a partition being a run of them. A leaf is the XOR
of the digests of all records whose tokens fall into it: XOR, because then replacing a record
is `leaf ^= old ^ new`, whatever else is there, and the order of writes does not matter
(M. Bellare, D. Micciancio, "A New Paradigm for Collision-Free Hashing", 1997; XOR is no
defence against an enemy, and between nodes of one cluster need not be). A record's digest is
its check, which covers key, versions and values (`model/record.py`).
"""

from __future__ import annotations

from array import array
from typing import Final

LEAF_BITS: Final = 18
"""262,144 leaves, 2 MB: four records a leaf at a million records."""
_LEAVES_OF_PARTITION_BITS: Final = 4


class Forest:
    """The leaves of all partitions of one node."""

    __slots__ = ("_leaves", "_shift")

    def __init__(self, partition_bits: int) -> None:
        bits = max(LEAF_BITS, partition_bits + _LEAVES_OF_PARTITION_BITS)
        self._shift = 64 - bits
        self._leaves = array("Q", bytes(8 << bits))

    def replace(self, key: bytes, old: bytes, new: bytes) -> None:
        """The record at storage key `key` was `old` and is `new`, encoded; empty for none."""
        leaf = int.from_bytes(key[1:9]) >> self._shift
        self._leaves[leaf] ^= int.from_bytes(old[:8]) ^ int.from_bytes(new[:8])
