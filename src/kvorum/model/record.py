"""A record: everything a replica knows of one key, as a dotted version vector set.

Each write is an event with a dot (actor, counter). A record holds

    context    for each actor the highest counter this replica has seen for the key;
               it covers every dot of that actor up to that counter
    versions   the values no seen write has replaced, each with the dot of its write

Two records of a key always merge, whatever order messages came in (N. Preguiça et al.,
"Dotted Version Vectors", 2010; P. S. Almeida et al., "Scalable and Accurate Causality
Tracking for Eventually Consistent Stores", 2014):

    keep a version when both records have it, or when the other has not seen its dot;
    the context is the entry-wise maximum

so merge is commutative, associative and idempotent. A delete is an event that leaves no version:
its dot stays in the context, and a record without versions is a tombstone, of a deleted key. A
version may carry the time at which it expires. From then on no reader sees it, and each replica
removes it when it comes to that: the version goes, the context stays, which is what a delete
leaves. Example, crash of n1 after its write:

    n1 writes v1        {n1:1}            v1@n1:1
    n2 replaces v1      {n1:1, n2:1}      v2@n2:1
    n3 replaces v1 too  {n1:1, n3:1}      v3@n3:1
    n2 and n3 merged    {n1:1, n2:1, n3:1}   v2@n2:1, v3@n3:1   siblings, nothing dropped

Why an actor is one *incarnation* of a node and not the node: a context entry covers all
lower counters. A node that crashed before its log sync has forgotten its last dots while
other replicas may hold them, acknowledged. If it went on under the same actor, with any
higher counter, its next context would cover those dots and the merge would drop them. So
an unclean restart begins a new actor, durable before its first use; skipping counters is
not enough (`tests/model/test_record.py` has the counterexample). Riak met the same fault
and answers with per-key actor epochs.

A stored or sent record is its MessagePack body behind an 8-byte check:

    0   8   XXH3-64 (big-endian) over the storage key and the body
    8   1.. body: [[ [actor, counter, timestamp_ms], ... ], [ [dot, kind, value, expires], ... ]]

context entries are sorted by actor, versions by dot, so equal records are equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import xxhash

from kvorum.model.errors import CorruptRecord
from kvorum.model.typed_value import is_typed_value

JSON: Final = 1
BINARY: Final = 2
TYPED: Final = 3
"""Kinds of values: JSON text, bytes, and bytes with their media type (`typed_value.py`)."""

RECORD_BYTES_MAX: Final = 1 << 30
"""No longer record is stored, since what is stored must open again. Coordinators keep well below it
(`replication/change.py`); only merges of what several sides of a partition have taken come near.
"""

TOMBSTONE_END: Final = 0x90
"""What a tombstone ends with: no versions, in MessagePack. A value may end so, too."""

_CHECK_BYTES: Final = 8


class Event(msgspec.Struct, array_like=True, frozen=True, gc=False, order=True):
    """A write event, or dot: its actor, its number there, and the actor's wall clock (ms)."""

    actor: int
    counter: int
    timestamp: int


class Version(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One value and the dot of the write that made it. `kind` is JSON, BINARY or TYPED.

    `expires`: from when on nobody may see it (ms of wall clock, as in its dot); 0 is never.
    """

    dot: Event
    kind: int
    value: bytes
    expires: int = 0


Context = tuple[Event, ...]


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """All that a replica knows of one key."""

    context: Context = ()
    versions: tuple[Version, ...] = ()

    def live_versions(self) -> list[Version]:
        """The versions a reader may see, latest first (timestamp, then dot)."""
        if len(self.versions) > 1:
            return sorted(self.versions, key=_recency, reverse=True)
        return list(self.versions)


EMPTY: Final = Record()

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def _recency(version: Version) -> tuple[int, int, int]:
    dot = version.dot
    return (dot.timestamp, dot.counter, dot.actor)


def _dot(version: Version) -> Event:
    return version.dot


def covers(context: Context, dot: Event) -> bool:
    """True if `context` has seen `dot`."""
    for event in context:
        if event.actor == dot.actor:
            return event.counter >= dot.counter
    return False


def dominates(a: Context, b: Context) -> bool:
    """True if `a` has seen every event that `b` has."""
    for event in b:  # noqa: SIM110 - a plain loop is three times faster than all(...) here
        if not covers(a, event):
            return False
    return True


def join(contexts: Iterable[Context]) -> Context:
    """The least context that has seen all that any of `contexts` has."""
    highest: dict[int, Event] = {}
    for context in contexts:
        for event in context:
            known = highest.get(event.actor)
            if known is None or event.counter > known.counter:
                highest[event.actor] = event
    return tuple(sorted(highest.values()))


def meet(a: Context, b: Context) -> Context:
    """The greatest context that has seen nothing but what both `a` and `b` have."""
    known = {event.actor: event for event in b}
    both = [event for event in a if event.actor in known]
    return tuple(min(event, known[event.actor]) for event in both)


def merge(a: Record, b: Record) -> Record:
    """The least record that knows all that `a` and `b` know.

    A context is joined only together with the effects of the writes it lists, so the record whose
    context dominates already has everything, and is returned as it is. Of two with the same
    context, each may lack expired versions that the other still has: what is left is what both
    have.
    """
    if a.context == b.context:
        return _in_both(a, b)
    if dominates(a.context, b.context):
        return a
    if dominates(b.context, a.context):
        return b
    dots_of_a = {v.dot for v in a.versions}
    kept = [v for v in a.versions if not covers(b.context, v.dot)]
    kept += [v for v in b.versions if v.dot in dots_of_a or not covers(a.context, v.dot)]
    kept.sort(key=_dot)
    return Record(join((a.context, b.context)), tuple(kept))


def _in_both(a: Record, b: Record) -> Record:
    """The merge of two records with the same context."""
    dots = {v.dot for v in b.versions}
    kept = [v for v in a.versions if v.dot in dots]
    if len(kept) == len(a.versions):
        return a
    return b if len(kept) == len(b.versions) else Record(a.context, tuple(kept))


def write(
    record: Record, seen: Context, dot: Event, kind: int, value: bytes, expires: int = 0
) -> Record:
    """`record` after a write that replaces exactly the versions `seen` covers.

    `dot` must be new: no context anywhere has seen it.
    """
    if seen is record.context:  # It covers all there is.
        return Record(_advanced(seen, dot), (Version(dot, kind, value, expires),))
    kept = _kept(record, seen)
    kept.append(Version(dot, kind, value, expires))
    kept.sort(key=_dot)
    return Record(join((record.context, seen, (dot,))), tuple(kept))


def _advanced(context: Context, dot: Event) -> Context:
    """`context` once it has also seen `dot`, the newest of its actor."""
    actor = dot.actor
    if not context or (len(context) == 1 and context[0].actor == actor):
        return (dot,)
    events = [event for event in context if event.actor != actor]
    events.append(dot)
    events.sort()
    return tuple(events)


def delete(record: Record, seen: Context, dot: Event) -> Record:
    """`record` after a delete that removes exactly the versions `seen` covers."""
    return Record(join((record.context, seen, (dot,))), tuple(_kept(record, seen)))


def expire(record: Record, now_ms: int) -> Record:
    """`record` without the versions that have expired at `now_ms`."""
    for version in record.versions:
        if 0 < version.expires <= now_ms:
            alive = [v for v in record.versions if not 0 < v.expires <= now_ms]
            return Record(record.context, tuple(alive))
    return record


def since(record: Record, moment_ms: int) -> Record:
    """`record` without what was written up to `moment_ms` by its writers' clocks, or EMPTY."""
    if all(event.timestamp <= moment_ms for event in record.context):
        return EMPTY
    kept = tuple(v for v in record.versions if v.dot.timestamp > moment_ms)
    return record if len(kept) == len(record.versions) else Record(record.context, kept)


def _kept(record: Record, seen: Context) -> list[Version]:
    return [v for v in record.versions if not covers(seen, v.dot)]


def is_well_formed(record: Record) -> bool:
    """True if `record` could have come about by writes, deletes and merges: its context names each
    actor once, in order, with counters from 1 on, and has seen the dot of each version.
    """
    actors = [event.actor for event in record.context]
    dots = [version.dot for version in record.versions]
    return (
        actors == sorted(set(actors))
        and all(event.counter > 0 for event in record.context)
        and dots == sorted(set(dots))
        and all(dot.counter > 0 and covers(record.context, dot) for dot in dots)
        and all(_is_of_its_kind(version) for version in record.versions)
    )


def _is_of_its_kind(version: Version) -> bool:
    if version.kind == TYPED:
        return is_typed_value(version.value)
    return version.kind in (JSON, BINARY)


def encode(storage_key: bytes, record: Record) -> bytes:
    """The bytes to store or send; bound to `storage_key` by the check."""
    return checked(storage_key, _encoder.encode(record))


def digest(data: bytes) -> bytes:
    """The 8 bytes that identify an encoded record where only equality matters."""
    return data[:_CHECK_BYTES]


def is_sound(storage_key: bytes, data: bytes) -> bool:
    """True if `data` is, bit for bit, what `encode` made for `storage_key`."""
    return xxhash.xxh3_64_digest(storage_key + data[_CHECK_BYTES:]) == data[:_CHECK_BYTES]


def is_tombstone(storage_key: bytes, data: bytes) -> bool:
    """True if `data` is a sound record of `storage_key` without versions."""
    return (
        data[-1:] == b"\x90"
        and is_sound(storage_key, data)
        and not decode(storage_key, data).versions
    )


def body_of(data: bytes) -> bytes:
    """An encoded record without its check."""
    return data[_CHECK_BYTES:]


def checked(storage_key: bytes, body: bytes) -> bytes:
    """The encoded record of `storage_key` with this body."""
    return xxhash.xxh3_64_digest(storage_key + body) + body


def decode(storage_key: bytes, data: bytes) -> Record:
    """The record in `data`. Raises CorruptRecord if it is damaged or belongs to another key."""
    body = data[_CHECK_BYTES:]
    if xxhash.xxh3_64_digest(storage_key + body) != data[:_CHECK_BYTES]:
        raise CorruptRecord(f"The record of {shown(storage_key)} fails its check.")
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise CorruptRecord(
            f"The record of {shown(storage_key)} passes its check, and is none: {error}."
        ) from error


def shown(storage_key: bytes) -> str:
    """A record's key for logs and messages: its token, not its name."""
    return f"token {storage_key[1:9].hex()}"
