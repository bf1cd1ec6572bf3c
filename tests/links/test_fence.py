"""Which messages a change of owners concerns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocols_page import rows

from kvorum.links.fence import ChangedPartitions, Partitioning, concerns
from kvorum.model.keys import TOKEN_HASHES, partition_of, partition_range, storage_key
from kvorum.model.merkle import levels
from kvorum.model.request import Put
from kvorum.wire.messages import (
    Coming,
    Compare,
    Differing,
    Fetch,
    Forget,
    Forward,
    Forwarded,
    GossipDelta,
    GossipDigest,
    Handoff,
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
    Shortfall,
    Survey,
    SyncState,
    TombstoneProposal,
    TombstoneVeto,
    Vouch,
    Write,
    Wrote,
)
from kvorum.wire.security_messages import SecurityDigest, SecurityEntries, SecurityStored

BITS = 4
PARTITIONING = Partitioning(BITS, "murmur3", 0)
CHANGED = 5


def changed(*partitions: int) -> ChangedPartitions:
    return ChangedPartitions(PARTITIONING, partitions)


def key_in(partition: int) -> bytes:
    start, _ = partition_range(partition, BITS)
    return start + b"default\0key"


def name_in(partition: int) -> str:
    """The key of a client in that partition."""
    for number in range(10_000):
        name = f"k{number}"
        if partition_of(TOKEN_HASHES["murmur3"](name.encode(), 0), BITS) == partition:
            return name
    raise AssertionError("no key found")


def about(partition: int) -> list[Message]:
    """One of each request, about that partition."""
    key, (start, end) = key_in(partition), partition_range(partition, BITS)
    shift = levels(BITS)[1] - BITS
    return [
        Write(1, key, b""),
        Handoff(1, key, b"", 1),
        Read(1, key, b""),
        Fetch(1, key, b""),
        Forward(1, Put("default", name_in(partition), 1, b"1")),
        Scan(1, start, end, 10),
        Inventory(1, "n3", start, end, []),
        Compare(1, "n3", 0, [partition], bytes(8)),
        Compare(1, "n3", 1, [((partition + 1) << shift) - 1], bytes(8)),
        RepairPartition(1, "n3", partition, b"", b""),
        TombstoneProposal(1, [(key, b"")]),
        Forget([(key, b"")]),
    ]


CASES = list(zip(about(CHANGED), about(CHANGED + 1), about(CHANGED - 1), strict=True))


@pytest.mark.parametrize(("hit", "above", "below"), CASES, ids=lambda m: type(m).__name__)
def test_a_request_is_concerned_if_its_partition_changed(
    hit: Message, above: Message, below: Message
) -> None:
    assert concerns(hit, changed(CHANGED))
    assert not concerns(above, changed(CHANGED))
    assert not concerns(below, changed(CHANGED))
    assert not concerns(hit, changed())
    assert concerns(above, changed(CHANGED, CHANGED + 1))


HARMLESS: list[Message] = [
    Wrote(1),
    Same(1),
    Have(1, b""),
    Coming(1, 5),
    Refused(1, "code", ""),
    Page(1, [], b""),
    Differing(1, [CHANGED]),
    KeyDiff(1, b"", [], []),
    PartitionRepaired(1, 1, True),
    TombstoneVeto(1, []),
    Shortfall(1, [], []),
    SyncState(True),
    Vouch(1, ()),
    GossipDigest([], []),
    GossipDelta([], []),
    Ping(1, 1),
    Pong(1, 1),
    PingRequest(1, 1),
    PingReport(1),
    SecurityDigest(b""),
    SecurityEntries(1, []),
    SecurityStored(1),
]


@pytest.mark.parametrize("message", HARMLESS, ids=lambda m: type(m).__name__)
def test_replies_and_notices_are_not(message: Message) -> None:
    assert not concerns(message, changed(*range(1 << BITS)))


def test_every_message_has_its_case() -> None:
    """Those that are missing answer for none, or never come to this."""
    known = {type(message) for message in [*about(0), *HARMLESS]} | {Survey, Forwarded}
    missing = {kind.__name__ for kind in Message.__args__} - {kind.__name__ for kind in known}
    assert missing == {"Behind", "ViewUpdate", "Leaving", "Released"}


def test_the_page_of_the_protocol_tells_which_messages_are_about_partitions() -> None:
    told = {
        row.name
        for row in [*rows("### Requests"), *rows("### Notices")]
        if row.cells[1].startswith("partition")
    }
    assert told == {type(message).__name__ for message in [*about(0), Survey(1)]}


def test_a_survey_is_about_all_partitions() -> None:
    assert concerns(Survey(1), changed(3))
    assert not concerns(Survey(1), changed())


def test_a_range_reaches_into_all_partitions_it_touches() -> None:
    start = partition_range(CHANGED - 1, BITS)[0]
    middle = key_in(CHANGED)
    assert concerns(Scan(1, start, middle, 10), changed(CHANGED))
    assert not concerns(Scan(1, start, partition_range(CHANGED, BITS)[0], 10), changed(CHANGED))
    assert concerns(Scan(1, start, b"e", 10), changed((1 << BITS) - 1))


@pytest.mark.parametrize(
    "garbage",
    [
        Forward(1, Put("default", "", 1, b"1")),
        Forward(1, Put("default", "k" * 2000, 1, b"1")),
        Compare(1, "n3", 99, [0], b""),
        Compare(1, "n3", -1, [0], b""),
        RepairPartition(1, "n3", 1 << 40, b"", b""),
        Scan(1, b"", b"", 1),
        Read(1, b"", b""),
    ],
    ids=repr,
)
def test_what_makes_no_sense_is_left_to_who_carries_it_out(garbage: Message) -> None:
    assert not concerns(garbage, changed(CHANGED))


@given(st.binary(min_size=16, max_size=16), st.integers(0, 16))
def test_partitions_are_found_as_everywhere(token: bytes, bits: int) -> None:
    key = storage_key(token, "default", b"key")
    assert Partitioning(bits, "murmur3", 0).of(key) == partition_of(token, bits)
