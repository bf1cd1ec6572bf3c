"""Removal: taking expired versions out of the records that a node has at hand."""

from __future__ import annotations

from kvorum.model.errors import CorruptRecord
from kvorum.model.record import decode, encode, expire
from kvorum.replica.expiry import Pairs, soonest_expiry
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import ignore


def remove_expired(replica: LocalReplica, records: Pairs) -> Pairs:
    """Take out of `records`, which this node stores, the versions that have expired.

    Returns the records as they are afterwards. Changes nothing while this node's clock is no good
    for it, or nothing is due.
    """
    deadline_ms = replica.expiries.deadline()
    if deadline_ms is None:
        return records
    return [(key, _without_expired(replica, key, data, deadline_ms)) for key, data in records]


def _without_expired(replica: LocalReplica, key: bytes, data: bytes, deadline_ms: int) -> bytes:
    if not 0 < soonest_expiry(data) <= deadline_ms:
        return data
    try:
        record = decode(key, data)
    except CorruptRecord:
        return data  # a read finds the damage, and has it repaired
    left = expire(record, deadline_ms)
    if left.versions and not replica.has_room(key):
        return data  # while the disk is full only tombstones are stored
    shorter = encode(key, left)
    replica.counters.versions_expired += len(record.versions) - len(left.versions)
    replica.put(key, data, shorter, ignore, None)
    return shorter
