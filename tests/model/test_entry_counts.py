"""The counts of a namespace's entries, against counting all that is there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.entry_counts import EntryCounts
from kvorum.model.keys import partition_of, storage_key
from kvorum.model.record import JSON, Event, Record, Version, encode

KEYS = [storage_key(bytes([n * 16]) + bytes(15), "s", b"%d" % n) for n in range(16)]
TOMBSTONE = Record((Event(1, 1, 1),))


def stored(key: bytes, value: bytes | None) -> bytes:
    """A record with that value, or a tombstone."""
    dot = Event(1, 1, 1)
    record = TOMBSTONE if value is None else Record((dot,), (Version(dot, JSON, value),))
    return encode(key, record)


CHANGES = st.tuples(
    st.sampled_from(KEYS),
    st.none() | st.just("removed") | st.binary(max_size=4) | st.just(b"ends with \x90"),
)


@given(st.lists(CHANGES, max_size=60), st.sampled_from([0, 1, 4, 8, 12]))
def test_they_are_those_of_what_is_there(changes: list[tuple[bytes, object]], bits: int) -> None:
    counts = EntryCounts(bits)
    there: dict[bytes, bytes] = {}
    for key, value in changes:
        new = b"" if value == "removed" else stored(key, value)  # type: ignore[arg-type]
        old = there.pop(key, b"")
        if new and old and new != stored(key, None) != old:
            counts.grow(key, len(new) - len(old))
        else:
            counts.replace(key, old, new)
        if new:
            there[key] = new
    live = {key: data for key, data in there.items() if data != stored(key, None)}
    assert counts.total == (len(live), sum(map(len, live.values())))
    for partition in {partition_of(key[1:9], bits) for key in KEYS[::5]}:
        chosen = [each == partition for each in range(1 << bits)]
        within = [data for key, data in live.items() if partition_of(key[1:9], bits) == partition]
        assert counts.within(chosen) == (len(within), sum(map(len, within)))


def test_a_value_that_ends_like_a_tombstone_is_an_entry() -> None:
    counts = EntryCounts(4)
    dot = Event(1, 1, 1)
    data = encode(KEYS[0], Record((dot,), (Version(dot, JSON, b"x", 0x90),)))
    assert data[-1] == 0x90
    counts.replace(KEYS[0], b"", data)
    assert counts.total == (1, len(data))
