"""How many entries of one namespace a node holds, and how many bytes their encoded records have.

They are counted by partition, as it depends on the partition which node answers for an entry. An
entry counts from when its record is stored until it is removed. A tombstone is no entry. An expired
version is one until the sweep removes it.

What is looked at is the last byte: a tombstone ends with `TOMBSTONE_END`, and only a record that
ends so is decoded. Where one entry's record replaces another, `grow` adds the difference of their
lengths. Numbers are in lists, which are changed faster than arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress
from typing import Final

from kvorum.model.record import is_tombstone

_BITS: Final = 16
"""No cluster has more partitions than the first two bytes of a token tell apart."""
_BITS_OF_A_BYTE: Final = 8
_number = int.from_bytes


class EntryCounts:
    """Entries of one namespace, and bytes of their encoded records, in each partition."""

    __slots__ = ("_bytes", "_first_byte_tells", "_keys", "_shift")

    def __init__(self, partition_bits: int) -> None:
        self._shift = _BITS - partition_bits
        self._first_byte_tells = partition_bits == _BITS_OF_A_BYTE
        self._keys = [0] * (1 << partition_bits)
        self._bytes = [0] * (1 << partition_bits)

    def replace(self, key: bytes, old: bytes, new: bytes) -> None:
        """The record at storage key `key` was `old` and is `new`, encoded; empty for none."""
        partition = _number(key[1:3]) >> self._shift
        before, after = _size(key, old), _size(key, new)
        self._keys[partition] += (after > 0) - (before > 0)
        self._bytes[partition] += after - before

    def grow(self, key: bytes, change: int) -> None:
        """The record of the entry at storage key `key` has become longer by `change` bytes."""
        partition = key[1] if self._first_byte_tells else _number(key[1:3]) >> self._shift
        self._bytes[partition] += change

    def clear(self, partition: int) -> None:
        """As if there were none in `partition`."""
        self._keys[partition] = self._bytes[partition] = 0

    def copy(self) -> EntryCounts:
        """The same counts, which stay as they are."""
        made = EntryCounts(_BITS - self._shift)
        made._keys, made._bytes = self._keys[:], self._bytes[:]
        return made

    @property
    def total(self) -> tuple[int, int]:
        """Entries and bytes in all partitions."""
        return sum(self._keys), sum(self._bytes)

    def within(self, partitions: Iterable[bool]) -> tuple[int, int]:
        """Entries and bytes in those partitions for which `partitions`, one by one, says True."""
        chosen = tuple(partitions)
        return sum(compress(self._keys, chosen)), sum(compress(self._bytes, chosen))


def _size(key: bytes, data: bytes) -> int:
    return 0 if not data or is_tombstone(key, data) else len(data)
