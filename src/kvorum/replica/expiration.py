"""Burial: taking out of records what has expired, where a node has them in hand anyway."""

from __future__ import annotations

from kvorum.model.errors import CorruptRecord
from kvorum.model.record import decode, encode, expire
from kvorum.replica.expiry import Pairs, soonest_expiry
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import ignore


def bury_expired(replica: LocalReplica, records: Pairs) -> Pairs:
    """`records`, which are what this node holds, as they are once that is done."""
    deadline_ms = replica.expiries.deadline()
    if deadline_ms is None:
        return records
    return [(key, _expire(replica, key, data, deadline_ms)) for key, data in records]


def _expire(replica: LocalReplica, key: bytes, data: bytes, deadline_ms: int) -> bytes:
    if not 0 < soonest_expiry(data) <= deadline_ms:
        return data
    try:
        record = decode(key, data)
    except CorruptRecord:
        return data  # whoever reads it has it repaired
    left = expire(record, deadline_ms)
    if left.versions and not replica.has_room(key):
        return data  # nothing but tombstones is taken now
    expired = encode(key, left)
    replica.counters.versions_expired += len(record.versions) - len(left.versions)
    replica.put(key, data, expired, ignore, None)
    return expired
