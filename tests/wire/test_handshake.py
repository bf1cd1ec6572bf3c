"""Handshake messages: round trips, refusal of anything else, and what two Hellos agree on."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ProtocolError
from kvorum.wire.frames import HANDSHAKE_BYTES_MAX
from kvorum.wire.handshake import (
    NONCE_BYTES,
    PROTOCOL,
    Challenge,
    Crossed,
    EarlierHello,
    Greeting,
    Hello,
    Reject,
    Versions,
    Welcome,
    decode_greeting,
    encode_greeting,
    no_common_version,
    reject,
    veto,
)

OURS = Hello("c", "murmur3", 0, 256, 3, "f00d", "beef", "n1", 0, "1" * 32, 1)
THEIRS = Hello("c", "murmur3", 0, 256, 3, "f00d", "beef", "n2", 1, "2" * 32, 9)


@pytest.mark.parametrize(
    "greeting",
    [
        Challenge(PROTOCOL, bytes(NONCE_BYTES)),
        Challenge(PROTOCOL, bytes(NONCE_BYTES), 2),
        EarlierHello(2),
        OURS,
        Welcome(),
        Reject("because"),
        Crossed(),
    ],
)
def test_round_trip(greeting: Greeting) -> None:
    assert decode_greeting(encode_greeting(greeting)) == greeting


@given(st.binary(max_size=64))
def test_anything_else_is_refused(data: bytes) -> None:
    try:
        greeting = decode_greeting(data)
    except ProtocolError:
        return
    assert isinstance(greeting, Greeting)


@pytest.mark.parametrize(
    "change",
    [
        {"node_id": "2" * 31},
        {"node_id": "2" * 32 + "\n"},
        {"node_id": "G" * 32},
        {"incarnation": -1},
        {"epoch": "3"},
        {"epoch": 0},
        {"epoch": 1 << 63},
        {"node": 5},
    ],
)
def test_a_malformed_hello_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(encode_greeting(msgspec.structs.replace(THEIRS, **change)))


def test_two_members_have_nothing_against_each_other() -> None:
    assert veto(OURS, THEIRS) is None
    assert veto(THEIRS, OURS) is None


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"cluster": "d"}, ["cluster is 'c' for n1 and 'd' for 'n2'"]),
        ({"token_hash": "md5"}, ["token_hash is 'murmur3' for n1 and 'md5' for 'n2'"]),
        ({"token_seed": 7}, ["token_seed is 0 for n1 and 7 for 'n2'"]),
        ({"partitions": 512}, ["partitions is 256 for n1 and 512 for 'n2'"]),
        ({"fingerprint": "beef"}, ["'n2' ('beef') have other nodes", "epoch 3"]),
        ({"node": "n1"}, ["Two nodes use the name 'n1'"]),
        ({"node_id": "1" * 11 + "2" * 21}, ["node ids of 'n2'", "'n1'", "first 11 digits"]),
    ],
)
def test_vetoes_are_mutual(change: dict[str, object], reasons: list[str]) -> None:
    theirs = msgspec.structs.replace(THEIRS, **change)
    said = veto(OURS, theirs)
    assert said is not None
    assert all(reason in said for reason in reasons)
    assert veto(theirs, OURS) is not None


def test_what_is_to_be_done_fits_what_differs() -> None:
    version = no_common_version(Versions(3, 4), Versions(2, 2))
    assert "same version of kvorum" in version
    assert "cluster file" not in version
    for change in ({"cluster": "d"}, {"partitions": 512}, {"fingerprint": "beef"}):
        assert "cluster file" in (veto(OURS, msgspec.structs.replace(THEIRS, **change)) or "")


@pytest.mark.parametrize("fingerprint", ["f00d", "beef"])
@pytest.mark.parametrize("epoch", [2, 4])
def test_who_is_at_another_epoch_may_have_other_nodes(epoch: int, fingerprint: str) -> None:
    theirs = msgspec.structs.replace(THEIRS, epoch=epoch, fingerprint=fingerprint, members="0")
    assert veto(OURS, theirs) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "agreed"),
    [
        ((4, 4), (4, 4), 4),
        ((3, 5), (4, 9), 5),
        ((4, 9), (3, 5), 5),
        ((1, 9), (4, 4), 4),
        ((4, 4), (5, 9), None),
        ((4, 4), (1, 3), None),
    ],
)
def test_the_highest_version_that_both_speak_is_taken(
    ours: tuple[int, int], theirs: tuple[int, int], agreed: int | None
) -> None:
    assert Versions(*ours).agreed(Versions(*theirs)) == agreed
    assert Versions(*theirs).agreed(Versions(*ours)) == agreed


def test_a_refusal_names_both_ranges() -> None:
    said = no_common_version(Versions(4, 4), Versions(6, 9))
    assert "speaks version 4 of the protocol" in said
    assert "one that speaks versions 6 to 9" in said


@pytest.mark.parametrize("nonce", [b"", bytes(NONCE_BYTES - 1), bytes(NONCE_BYTES + 1)])
def test_a_challenge_has_one_length(nonce: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(encode_greeting(Challenge(PROTOCOL, nonce)))


def test_a_nesting_bomb_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(b"\x91" * HANDSHAKE_BYTES_MAX)


def test_older_nodes_are_known_by_what_they_say_first() -> None:
    second = msgspec.msgpack.encode([1, 2, "c", "f00d", 3, "n2", "2" * 32, 9])
    assert decode_greeting(second) == EarlierHello(2)
    third = decode_greeting(msgspec.msgpack.encode([5, 3, bytes(NONCE_BYTES)]))
    assert isinstance(third, Challenge)
    assert third.versions == Versions(3, 3)


def test_ids_that_differ_in_the_part_that_names_actors_are_distinct() -> None:
    theirs = msgspec.structs.replace(THEIRS, node_id="1" * 10 + "2" * 22)
    assert veto(OURS, theirs) is None


def test_a_reject_fits_a_handshake_frame() -> None:
    assert len(encode_greeting(reject("\N{SNOWMAN}" * 100_000))) <= HANDSHAKE_BYTES_MAX
