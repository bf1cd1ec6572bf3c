"""The laws of records, on histories that really can happen.

A history is a small group of replicas that write, delete, forget (crash) and merge at
random. The dumb model keeps, for every event, the full set of events it knew: no compaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import CorruptRecord
from kvorum.model.record import (
    EMPTY,
    JSON,
    Event,
    Record,
    covers,
    decode,
    delete,
    digest,
    dominates,
    encode,
    join,
    meet,
    merge,
    write,
)

REPLICAS = 3


@dataclass
class Dumb:
    """A replica that remembers every event it has heard of and who replaced whom."""

    seen: set[Event] = field(default_factory=set)
    values: dict[Event, bytes] = field(default_factory=dict)

    def copy(self) -> Dumb:
        return Dumb(set(self.seen), dict(self.values))

    def merge(self, other: Dumb) -> None:
        values = {
            dot: value
            for dot, value in (self.values | other.values).items()
            if (dot in self.values or dot not in self.seen)
            and (dot in other.values or dot not in other.seen)
        }
        self.seen |= other.seen
        self.values = values

    def replace(self, seen: set[Event], dot: Event, value: bytes | None) -> None:
        self.values = {d: v for d, v in self.values.items() if d not in seen}
        self.seen |= seen | {dot}
        if value is not None:
            self.values[dot] = value


@dataclass
class Replica:
    actor: int
    counter: int = 0
    record: Record = EMPTY
    dumb: Dumb = field(default_factory=Dumb)


steps = st.lists(
    st.tuples(
        st.sampled_from(["blind", "versioned", "delete", "merge", "remember"]),
        st.integers(0, REPLICAS - 1),
        st.integers(0, REPLICAS - 1),
    ),
    max_size=30,
)


def play(history: list[tuple[str, int, int]]) -> list[Replica]:
    replicas = [Replica(actor) for actor in range(REPLICAS)]
    # What a client holds: the context of some earlier read, and all events behind it.
    context: tuple[Event, ...] = ()
    known: set[Event] = set()
    for time, (step, here, there) in enumerate(history):
        replica, other = replicas[here], replicas[there]
        if step == "remember":
            context, known = replica.record.context, set(replica.dumb.seen)
        elif step == "merge":
            replica.record = merge(replica.record, other.record)
            replica.dumb.merge(other.dumb.copy())
        else:
            replica.counter += 1
            dot = Event(replica.actor, replica.counter, time)
            seen = context if step == "versioned" else replica.record.context
            dumb_seen = known if step == "versioned" else set(replica.dumb.seen)
            value = None if step == "delete" else b"%d" % time
            replica.dumb.replace(dumb_seen, dot, value)
            if value is None:
                replica.record = delete(replica.record, seen, dot)
            else:
                replica.record = write(replica.record, seen, dot, JSON, value)
    return replicas


def values(record: Record) -> dict[Event, bytes]:
    return {version.dot: version.value for version in record.versions}


@given(steps)
def test_a_record_holds_what_full_histories_say(history: list[tuple[str, int, int]]) -> None:
    for replica in play(history):
        assert values(replica.record) == replica.dumb.values
        assert all(covers(replica.record.context, event) for event in replica.dumb.seen)


@given(steps)
def test_merge_is_commutative_associative_and_idempotent(
    history: list[tuple[str, int, int]],
) -> None:
    a, b, c = (replica.record for replica in play(history))
    assert merge(a, b) == merge(b, a)
    assert merge(a, merge(b, c)) == merge(merge(a, b), c)
    assert merge(a, a) == a
    assert merge(a, EMPTY) == a


@given(steps)
def test_merging_everything_everywhere_makes_equal_bytes(
    history: list[tuple[str, int, int]],
) -> None:
    a, b, c = (replica.record for replica in play(history))
    assert encode(b"k", merge(merge(a, b), c)) == encode(b"k", merge(merge(c, a), b))


@given(steps)
def test_contexts_form_a_lattice(history: list[tuple[str, int, int]]) -> None:
    a, b, _ = (replica.record.context for replica in play(history))
    joined = join((a, b))
    assert dominates(joined, a)
    assert dominates(joined, b)
    assert dominates(a, b) == (join((a, b)) == a)


@given(steps)
def test_a_meet_has_seen_what_both_have(history: list[tuple[str, int, int]]) -> None:
    a, b, c = play(history)
    for one, other in ((a, b), (b, c), (c, a)):
        met = meet(one.record.context, other.record.context)
        assert met == meet(other.record.context, one.record.context)
        for event in one.dumb.seen | other.dumb.seen:
            in_both = covers(one.record.context, event) and covers(other.record.context, event)
            assert covers(met, event) == in_both


def test_two_nodes_that_replace_the_same_version_make_siblings() -> None:
    first = write(EMPTY, (), Event(1, 1, 10), JSON, b"v1")
    on_two = write(first, first.context, Event(2, 1, 20), JSON, b"v2")
    on_three = write(first, first.context, Event(3, 1, 30), JSON, b"v3")
    merged = merge(on_two, on_three)
    assert [version.value for version in merged.live_versions()] == [b"v3", b"v2"]
    resolved = write(merged, merged.context, Event(2, 2, 40), JSON, b"v4")
    assert [version.value for version in merge(resolved, on_three).versions] == [b"v4"]


def test_dots_per_value_stop_the_sibling_explosion() -> None:
    """Two clients that keep writing with stale contexts leave two siblings, not one a write."""
    record = EMPTY
    contexts: list[tuple[Event, ...]] = [(), ()]
    for turn in range(100):
        client = turn % 2
        record = write(record, contexts[client], Event(1, turn + 1, turn), JSON, b"%d" % turn)
        contexts[client] = record.context
    assert len(record.versions) <= 2


def test_a_write_concurrent_with_a_delete_survives_it() -> None:
    first = write(EMPTY, (), Event(1, 1, 1), JSON, b"old")
    deleted = delete(first, first.context, Event(1, 2, 2))
    rewritten = write(first, first.context, Event(2, 1, 2), JSON, b"new")
    assert [v.value for v in merge(deleted, rewritten).versions] == [b"new"]


def test_a_late_delete_does_not_erase_a_recreated_key() -> None:
    first = write(EMPTY, (), Event(1, 1, 1), JSON, b"old")
    deleted = delete(first, first.context, Event(1, 2, 2))
    recreated = write(deleted, deleted.context, Event(2, 1, 3), JSON, b"new")
    assert merge(recreated, deleted) == recreated


def test_skipping_counters_after_a_crash_is_not_enough() -> None:
    """Why an unclean restart begins a new actor.

    Node 1 writes v1 (dot 1:1), which node 2 stores and acknowledges; node 1 loses it in a
    crash before its own log sync, and then takes another write that never saw v1.
    """
    acknowledged = write(EMPTY, (), Event(1, 1, 10), JSON, b"v1")
    same_actor = write(EMPTY, (), Event(1, 1_000_000, 20), JSON, b"v2")
    assert [v.value for v in merge(acknowledged, same_actor).versions] == [b"v2"]  # v1 is lost
    new_actor = write(EMPTY, (), Event(2, 1, 20), JSON, b"v2")
    assert {v.value for v in merge(acknowledged, new_actor).versions} == {b"v1", b"v2"}


@given(steps, st.binary(min_size=1, max_size=20))
def test_an_encoded_record_comes_back(history: list[tuple[str, int, int]], key: bytes) -> None:
    record = play(history)[0].record
    data = encode(key, record)
    assert decode(key, data) == record
    assert data.startswith(digest(data))


@given(steps, st.data())
def test_any_damage_is_noticed(history: list[tuple[str, int, int]], data: st.DataObject) -> None:
    encoded = encode(b"key", play(history)[0].record)
    position = data.draw(st.integers(0, len(encoded) - 1))
    flipped = data.draw(st.integers(1, 255))
    damaged = bytearray(encoded)
    damaged[position] ^= flipped
    with pytest.raises(CorruptRecord):
        decode(b"key", bytes(damaged))


@pytest.mark.parametrize("cut", [0, 1, 8, 9, 20])
def test_a_truncated_record_is_noticed(cut: int) -> None:
    encoded = encode(b"key", write(EMPTY, (), Event(1, 1, 1), JSON, b"v"))
    with pytest.raises(CorruptRecord):
        decode(b"key", encoded[:cut])


def test_a_record_moved_to_another_key_is_noticed() -> None:
    encoded = encode(b"key", write(EMPTY, (), Event(1, 1, 1), JSON, b"v"))
    with pytest.raises(CorruptRecord):
        decode(b"other", encoded)
