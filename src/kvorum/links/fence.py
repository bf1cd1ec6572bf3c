"""The fence: which messages must not be carried out between two nodes at different epochs.

Two nodes may be linked while one of them does not know the last changes of the cluster. Most
messages mean the same to both all the same, as the owners of most partitions are the same in both
epochs. Only a request about a partition whose owners differ must not be carried out; it is answered
with `Behind`. Replies, gossip and notices are about no partition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from kvorum.model.errors import InvalidKey
from kvorum.model.hash_tags import place_token
from kvorum.model.keys import TOKEN_HASHES, encode_key, partition_of, partition_range
from kvorum.model.merkle import levels
from kvorum.model.prefixes import RECORDS_END
from kvorum.wire.messages import (
    Compare,
    Fetch,
    Forget,
    Forward,
    Handoff,
    Inventory,
    Message,
    Read,
    RepairPartition,
    Scan,
    Survey,
    TombstoneProposal,
    Write,
)


@dataclass(frozen=True, slots=True)
class Partitioning:
    """How a cluster's keys find their partitions: the same in all its epochs."""

    partition_bits: int
    token_hash: str
    token_seed: int

    def of(self, stored_key: bytes) -> int:
        """The partition of the storage key of a record."""
        return partition_of(stored_key[1:9], self.partition_bits)

    def between(self, start: bytes, end: bytes) -> range:
        """The partitions that have storage keys in start <= key < end."""
        last = self.of(end) if end < RECORDS_END else (1 << self.partition_bits) - 1
        if end < RECORDS_END and end <= partition_range(last, self.partition_bits)[0]:
            last -= 1
        return range(self.of(start), last + 1)

    def of_key(self, key: str) -> list[int]:
        """The partitions that a client's key may lie in: which one, the settings of its namespace
        decide. Raises InvalidKey.
        """
        token_hash, seed, data = TOKEN_HASHES[self.token_hash], self.token_seed, encode_key(key)
        tokens = token_hash(data, seed), place_token(token_hash, seed, data)
        return [partition_of(token, self.partition_bits) for token in tokens]


@dataclass(frozen=True, slots=True)
class ChangedPartitions:
    """The partitions whose owners differ between two epochs."""

    partitioning: Partitioning
    among: Collection[int]

    def __bool__(self) -> bool:
        return bool(self.among)

    def any_of(self, partitions: Iterable[int]) -> bool:
        """True if one of `partitions` has changed."""
        return any(partition in self.among for partition in partitions)


def concerns(message: Message, changed: ChangedPartitions) -> bool:
    """True if `message` is a request about a partition that is among `changed`."""
    partitions = _PARTITIONS.get(type(message))
    return partitions is not None and changed.any_of(partitions(message, changed))


def _of_key(message: Read | Fetch | Write | Handoff, changed: ChangedPartitions) -> list[int]:
    return [changed.partitioning.of(message.key)]


def _of_forward(message: Forward, changed: ChangedPartitions) -> list[int]:
    try:
        return changed.partitioning.of_key(message.request.key)
    except InvalidKey:
        return []  # it is refused when it is carried out


def _of_range(message: Scan | Inventory, changed: ChangedPartitions) -> range:
    return changed.partitioning.between(message.start, message.end)


def _of_compare(message: Compare, changed: ChangedPartitions) -> list[int]:
    bits = levels(changed.partitioning.partition_bits)
    if not 0 <= message.level < len(bits):
        return []  # it is refused when it is carried out
    return [index >> (bits[message.level] - bits[0]) for index in message.indices]


def _of_repair(message: RepairPartition, _changed: ChangedPartitions) -> list[int]:
    return [message.partition]


def _of_entries(message: TombstoneProposal | Forget, changed: ChangedPartitions) -> list[int]:
    return [changed.partitioning.of(key) for key, _ in message.entries]


def _all(_message: Survey, changed: ChangedPartitions) -> Collection[int]:
    return changed.among


_PARTITIONS: Final[dict[type, Callable[[Any, ChangedPartitions], Iterable[int]]]] = {
    Read: _of_key,
    Fetch: _of_key,
    Write: _of_key,
    Handoff: _of_key,
    Forward: _of_forward,
    Scan: _of_range,
    Inventory: _of_range,
    Compare: _of_compare,
    RepairPartition: _of_repair,
    TombstoneProposal: _of_entries,
    Forget: _of_entries,
    Survey: _all,
}
