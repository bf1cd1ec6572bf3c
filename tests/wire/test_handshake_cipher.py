"""Who knows the secret understands the handshake, and nobody else learns a thing from it."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvorum.model.errors import ProtocolError
from kvorum.wire.handshake import (
    NONCE_BYTES,
    PROTOCOL,
    Challenge,
    Crossed,
    Hello,
    Reject,
    Versions,
    Welcome,
    encode_greeting,
    reject,
)
from kvorum.wire.handshake_cipher import HandshakeCipher

SECRET = b"a secret that only the nodes know"
HELLO = Hello("shop", "murmur3", 0, 256, 3, "f00df00d", "beef", "n1", 0, "1" * 32, 1)
ANSWER = Hello("shop", "murmur3", 0, 256, 3, "f00df00d", "beef", "n2", 1, "2" * 32, 1)
TELLING = (b"shop", b"f00d", b"n1", b"n2", b"1" * 11, b"2" * 11)

nonces = count(1)


def dialer(secret: bytes = SECRET) -> HandshakeCipher:
    return HandshakeCipher(secret, next(nonces).to_bytes(NONCE_BYTES), dialed=True)


def listener(secret: bytes = SECRET) -> HandshakeCipher:
    return HandshakeCipher(secret, next(nonces).to_bytes(NONCE_BYTES), dialed=False)


def met(one: HandshakeCipher, other: HandshakeCipher) -> tuple[HandshakeCipher, HandshakeCipher]:
    one.meet(other.challenge)
    other.meet(one.challenge)
    return one, other


def test_two_who_know_the_secret_understand_each_other() -> None:
    d, l_ = met(dialer(), listener())
    said = d.seal(HELLO)
    assert l_.open(said) == HELLO
    answer = l_.seal(ANSWER)
    assert d.open(answer) == ANSWER
    last = d.seal(Welcome())
    assert l_.open(last) == Welcome()
    for frame in (said, answer, last, d.challenge, l_.challenge):
        assert not any(word in frame for word in TELLING)


@given(st.binary(min_size=16, max_size=4096), st.binary(min_size=16, max_size=4096))
def test_who_knows_another_secret_neither_understands_nor_is_understood(
    one: bytes, other: bytes
) -> None:
    if one == other:
        other += b"?"
    d, l_ = met(dialer(one), listener(other))
    with pytest.raises(ProtocolError, match="does not know this node's cluster secret"):
        l_.open(d.seal(HELLO))
    with pytest.raises(ProtocolError, match="does not know this node's cluster secret"):
        d.open(l_.seal(reject("because")))


@given(st.data())
def test_a_frame_that_was_touched_is_refused(data: st.DataObject) -> None:
    d, l_ = met(dialer(), listener())
    frame = bytearray(d.seal(HELLO))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ProtocolError):
        l_.open(bytes(frame))


@given(st.binary(max_size=60))
def test_garbage_is_refused(garbage: bytes) -> None:
    _, l_ = met(dialer(), listener())
    with pytest.raises(ProtocolError):
        l_.open(garbage)


def test_a_recorded_greeting_is_of_no_use_again() -> None:
    d, l_ = met(dialer(), listener())
    recorded = d.challenge, d.seal(HELLO)
    assert l_.open(recorded[1]) == HELLO
    again = listener()
    again.meet(recorded[0])
    with pytest.raises(ProtocolError):
        again.open(recorded[1])


def test_what_a_node_said_cannot_be_said_back_to_it() -> None:
    d = dialer()
    d.meet(d.challenge)  # its own, as whoever reflects all it says would send it
    with pytest.raises(ProtocolError):
        d.open(d.seal(HELLO))


def test_one_connection_of_a_node_proves_nothing_on_another() -> None:
    """An impostor, dialed by n1, dials n1 in turn and passes on what it hears."""
    d, l_ = met(dialer(), listener())
    # It can pass on n1's own proof; then it still holds nothing but what it cannot read.
    assert l_.open(d.seal(HELLO)) == HELLO
    answer = l_.seal(reject("Two nodes use the name 'n1'."))
    assert not any(word in answer for word in TELLING)
    other = listener()
    other.meet(d.challenge)
    with pytest.raises(ProtocolError):
        other.open(answer)


def test_frames_out_of_their_order_are_refused() -> None:
    d, l_ = met(dialer(), listener())
    d.seal(HELLO)
    with pytest.raises(ProtocolError):
        l_.open(d.seal(Welcome()))


def test_the_identities_are_bound_to_the_last_word() -> None:
    """A Welcome is for the Hello that it follows, whatever else has been said."""
    d, l_ = met(dialer(), listener())
    l_.open(d.seal(HELLO))
    d.open(l_.seal(ANSWER))
    recorded = d.seal(Welcome())
    e, m = met(dialer(), listener())
    m.open(e.seal(HELLO))
    m.seal(ANSWER)
    with pytest.raises(ProtocolError):
        m.open(recorded)


@pytest.mark.parametrize("first", [HELLO, Welcome(), Crossed()])
def test_only_a_challenge_comes_first(first: Hello | Welcome | Crossed) -> None:
    with pytest.raises(ProtocolError, match="came where a Challenge was next"):
        listener().meet(encode_greeting(first))


def test_the_highest_version_that_both_speak_is_agreed_on() -> None:
    d = HandshakeCipher(SECRET, bytes(NONCE_BYTES), dialed=True, spoken=Versions(3, 6))
    l_ = HandshakeCipher(SECRET, b"1" * NONCE_BYTES, dialed=False, spoken=Versions(5, 9))
    assert d.protocol is l_.protocol is None
    met(d, l_)
    assert d.protocol == l_.protocol == 6
    assert l_.open(d.seal(HELLO)) == HELLO


def test_a_range_that_was_touched_on_its_way_is_found_out() -> None:
    """Nobody in between can have two nodes speak an older version than both know."""
    d = HandshakeCipher(SECRET, bytes(NONCE_BYTES), dialed=True, spoken=Versions(3, 6))
    l_ = HandshakeCipher(SECRET, b"1" * NONCE_BYTES, dialed=False, spoken=Versions(3, 6))
    d.meet(encode_greeting(Challenge(5, b"1" * NONCE_BYTES, 3)))
    l_.meet(d.challenge)
    with pytest.raises(ProtocolError):
        l_.open(d.seal(HELLO))


def test_another_version_is_refused_by_name() -> None:
    later = encode_greeting(Challenge(PROTOCOL + 1, bytes(NONCE_BYTES)))
    with pytest.raises(ProtocolError, match="Run the same version of kvorum on both"):
        dialer().meet(later)
    with pytest.raises(ProtocolError, match="It refused this node: 'versions differ'"):
        dialer().meet(encode_greeting(Reject("versions differ")))
