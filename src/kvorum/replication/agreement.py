"""Agreement: replicas of a partition that hold the same records, as their hash trees show.

A listing asks R replicas for the records of a partition and merges what they send. Where the hash
trees of all R are equal at the partition's root, their records are too, and the merge is what one
of them has. So an owner that lists sends the hash of its own tree along. If the others answer that
theirs are the same, it reads its own records only: nothing is sent, and no other node has to open
a record.

Each of the R held what it vouches for after the listing began, and a replica's records only ever
advance, so the listing gives no less than if it had merged all.
"""

from __future__ import annotations

from typing import Final

from kvorum.model.placement_rule import PlacementRule
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Scan

STEP_RECORDS: Final = 500
"""So many records are looked through without a pause: some 3 ms."""


def partition_hash(replica: LocalReplica, rule: PlacementRule, partition: int) -> bytes:
    """The hash of the replica's tree of `partition`; b"" while it has none to rely on."""
    forest = replica.trees.forest(rule)
    if forest is None or not replica.trees.built or replica.recovering:
        return b""
    return forest.hashes(0, [partition])


def can_read(replica: LocalReplica, start: bytes, end: bytes) -> bool:
    """True if nothing in start <= storage key < end is known to be damaged or unverified there."""
    unverified = replica.unverified
    if unverified.tokens and unverified.ranges(start, end):
        return False
    return not replica.store.unreadable(start, end)


def agrees(replica: LocalReplica, message: Scan) -> bool:
    """True if the partition that `message` is about has the hash that it names, and can be read."""
    rule = PlacementRule.parse(message.rule)
    if rule is None:
        return False
    partition = replica.trees.partition(message.start)
    own = partition_hash(replica, rule, partition)
    return own == message.hash and can_read(replica, message.start, message.end)
