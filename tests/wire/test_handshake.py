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
    Greeting,
    Hello,
    Reject,
    Welcome,
    decode_greeting,
    encode_greeting,
    objection,
    other_version_in,
    reject,
)

OURS = Hello(1, "c", "f00d", 3, "n1", "1" * 32, 1)
THEIRS = Hello(1, "c", "f00d", 3, "n2", "2" * 32, 9)


@pytest.mark.parametrize(
    "greeting",
    [Challenge(PROTOCOL, bytes(NONCE_BYTES)), OURS, Welcome(), Reject("because"), Crossed()],
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
        {"node": 5},
    ],
)
def test_a_malformed_hello_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(encode_greeting(msgspec.structs.replace(THEIRS, **change)))


def test_two_members_have_no_objection() -> None:
    assert objection(OURS, THEIRS) is None
    assert objection(THEIRS, OURS) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"protocol": 4}, f"nodes that speak versions 4 and {PROTOCOL} of the protocol"),
        ({"cluster": "d"}, "wanted cluster 'c', got 'd'"),
        ({"epoch": 4}, "wanted topology epoch 3, got 4"),
        ({"fingerprint": "beef"}, "wanted topology fingerprint 'f00d', got 'beef'"),
        ({"node": "n1"}, "wanted another node than 'n1', got the same name"),
        ({"node_id": "1" * 11 + "2" * 21}, "wanted node ids that differ in their first 11 digits"),
    ],
)
def test_objections_are_mutual(change: dict[str, object], reason: str) -> None:
    theirs = msgspec.structs.replace(THEIRS, **change)
    said = objection(OURS, theirs)
    assert said is not None
    assert said.startswith(reason)
    assert objection(theirs, OURS) is not None


def test_what_is_to_be_done_fits_what_differs() -> None:
    version = objection(OURS, msgspec.structs.replace(THEIRS, protocol=2)) or ""
    assert "same version of kvorum" in version
    assert "cluster file" not in version
    for change in ({"cluster": "d"}, {"epoch": 4}, {"fingerprint": "beef"}):
        assert "cluster file" in (objection(OURS, msgspec.structs.replace(THEIRS, **change)) or "")


@pytest.mark.parametrize("nonce", [b"", bytes(NONCE_BYTES - 1), bytes(NONCE_BYTES + 1)])
def test_a_challenge_has_one_length(nonce: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(encode_greeting(Challenge(PROTOCOL, nonce)))


def test_a_nesting_bomb_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_greeting(b"\x91" * HANDSHAKE_BYTES_MAX)


def test_an_older_node_is_known_by_its_hello() -> None:
    older = encode_greeting(msgspec.structs.replace(THEIRS, protocol=2))
    assert "same version of kvorum" in (other_version_in(older) or "")
    later = encode_greeting(Challenge(PROTOCOL + 1, bytes(NONCE_BYTES)))
    assert f"{PROTOCOL + 1} and {PROTOCOL}" in (other_version_in(later) or "")
    assert other_version_in(encode_greeting(Challenge(PROTOCOL, bytes(NONCE_BYTES)))) is None
    assert other_version_in(encode_greeting(Welcome())) is None


def test_ids_that_differ_in_the_part_that_names_actors_are_distinct() -> None:
    theirs = msgspec.structs.replace(THEIRS, node_id="1" * 10 + "2" * 22)
    assert objection(OURS, theirs) is None


def test_a_reject_fits_a_handshake_frame() -> None:
    assert len(encode_greeting(reject("\N{SNOWMAN}" * 100_000))) <= HANDSHAKE_BYTES_MAX
