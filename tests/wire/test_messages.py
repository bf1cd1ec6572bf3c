"""Batches of messages: round trips, and refusal of everything that is no batch."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ProtocolError
from kvorum.model.record import BINARY, JSON, Event, Record, Version
from kvorum.model.request import EXACT, Answer, Delete, Failure, Put
from kvorum.wire.batches import decode_batch, encode_batch, pack
from kvorum.wire.messages import (
    Behind,
    Coming,
    Compare,
    Differing,
    Forget,
    Forward,
    Forwarded,
    GossipDelta,
    GossipDigest,
    Have,
    Inventory,
    KeyDiff,
    Message,
    Page,
    PartitionRepaired,
    Ping,
    PingReport,
    PingRequest,
    Pong,
    Read,
    Refused,
    RepairPartition,
    Same,
    Scan,
    SyncState,
    TombstoneProposal,
    TombstoneVeto,
    ViewUpdate,
    Write,
    Wrote,
)

numbers = st.integers(0, (1 << 64) - 1)
small = st.integers(0, 1 << 31)
data = st.binary(max_size=40)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
events = st.builds(Event, numbers, numbers, numbers)
contexts = st.lists(events, max_size=3).map(tuple)
kinds = st.sampled_from([JSON, BINARY])
versions = st.lists(st.builds(Version, events, kinds, data), max_size=3).map(tuple)
seen = st.none() | contexts
expect = st.integers(0, EXACT)
puts = st.builds(Put, text, text, kinds, data, seen, expect, small, small)
deletes = st.builds(Delete, text, text, seen, expect, small, small)
answers = st.builds(Answer, st.builds(Record, contexts, versions), st.booleans())
details = st.dictionaries(text, st.none() | small | text | st.lists(text, max_size=3), max_size=3)
failures = st.builds(Failure, text, text, st.sampled_from(["none", "unknown"]), details)
entries = st.lists(st.tuples(data, data), max_size=3)

messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(Write, numbers, data, data),
    st.builds(Wrote, numbers),
    st.builds(Read, numbers, data, data),
    st.builds(Same, numbers),
    st.builds(Have, numbers, data),
    st.builds(Coming, numbers, small),
    st.builds(Refused, numbers, text, text),
    st.builds(Forward, numbers, puts | deletes),
    st.builds(Forwarded, numbers, answers | failures),
    st.builds(Scan, numbers, data, data, small, data, text, data),
    st.builds(Page, numbers, st.lists(st.tuples(data, data), max_size=3), data),
    st.builds(SyncState, st.booleans()),
    st.builds(
        GossipDigest,
        st.lists(st.tuples(small, numbers, small), max_size=3),
        st.lists(small, max_size=3),
    ),
    st.builds(
        GossipDelta,
        st.lists(st.tuples(small, numbers, small, numbers), max_size=3),
        st.lists(small, max_size=3),
    ),
    st.builds(Ping, numbers, small),
    st.builds(Pong, numbers, small),
    st.builds(PingRequest, numbers, small),
    st.builds(PingReport, numbers),
    st.builds(Compare, numbers, text, small, st.lists(small, max_size=3), data),
    st.builds(Differing, numbers, st.lists(small, max_size=3)),
    st.builds(Inventory, numbers, text, data, data, entries),
    st.builds(KeyDiff, numbers, data, st.lists(data, max_size=3), entries),
    st.builds(RepairPartition, numbers, text, small, data, data),
    st.builds(PartitionRepaired, numbers, small, st.booleans()),
    st.builds(TombstoneProposal, numbers, entries),
    st.builds(TombstoneVeto, numbers, st.lists(data, max_size=3)),
    st.builds(Forget, entries),
    st.builds(Behind, numbers, numbers),
    st.builds(ViewUpdate, numbers, data),
)


@given(st.lists(messages, max_size=6))
def test_round_trip(batch: list[Message]) -> None:
    assert decode_batch(encode_batch(batch)) == batch


@given(st.lists(messages, max_size=40), st.integers(16, 200))
def test_messages_that_are_packed_are_all_there_and_fit(batch: list[Message], room: int) -> None:
    packed = pack(batch, room)
    assert all(len(payload) <= room for payload, _ in packed.batches)
    assert all(len(whole) > room - 5 for whole in packed.wholes)
    short = [decode_batch(payload) for payload, _ in packed.batches]
    assert [len(messages) for messages in short] == [count for _, count in packed.batches]
    long = [decode_batch(whole) for whole in packed.wholes]
    assert all(len(messages) == 1 for messages in long)
    kept = [[m for some in kind for m in some] for kind in (short, long)]
    too_long = [len(encode_batch([message])) + 4 > room for message in batch]
    for found, wanted in zip(kept, (False, True), strict=True):
        assert found == [m for m, is_long in zip(batch, too_long, strict=True) if is_long == wanted]


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_a_truncated_batch_is_refused(batch: list[Message], draw: st.DataObject) -> None:
    whole = encode_batch(batch)
    with pytest.raises(ProtocolError, match="no batch of messages"):
        decode_batch(whole[: draw.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=60))
def test_random_bytes_give_messages_or_a_protocol_error(garbage: bytes) -> None:
    try:
        batch = decode_batch(garbage)
    except ProtocolError:
        return
    assert all(isinstance(message, Message) for message in batch)


@pytest.mark.parametrize(
    "batch",
    [
        None,
        {"op": 1},
        [[99, 1]],
        [[1, 5, b"key"]],
        [[1, "5", b"key", b"record"]],
        [[1, 5, "key", b"record"]],
        [[1, 5, None, b"record"]],
        [[2, 1.5]],
        [[7, 5, [1, "default", "a"]]],
        [[8, 5, [5, "code", "message", "maybe", {}]]],
        [[10, 5, [[b"key"]], False]],
        [[11, 1]],
        [[12, [[1, 2]], []]],
        [[13, [[1, 2, 3, "4"]], []]],
        [[14, 5]],
        ["Wrote"],
    ],
    ids=repr,
)
def test_what_is_no_batch_is_refused(batch: object) -> None:
    with pytest.raises(ProtocolError, match="no batch of messages"):
        decode_batch(msgspec.msgpack.encode(batch))


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_batch(encode_batch([Wrote(1)]) + b"\0")


def test_a_nesting_bomb_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_batch(b"\x91" * 100_000)


def test_text_that_is_no_utf8_is_refused() -> None:
    damaged = encode_batch([Refused(1, "code", "message")]).replace(b"code", b"\xff\xff\xff\xff")
    with pytest.raises(ProtocolError):
        decode_batch(damaged)
