"""The handshake's table: what has a row leads on, and whatever has none ends the link."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from kvorum.links.handshake import Credentials, Handshake, Phase, Role, TurnedAway
from kvorum.model.errors import ProtocolError
from kvorum.wire.frames import PREFACE, split_frame
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
)
from kvorum.wire.handshake_cipher import HandshakeCipher

SECRET = b"a secret that only the nodes know"
OURS = Hello("c", "murmur3", 0, 256, 1, "f00d", "beef", "n0", 0, "1" * 32, 1)
THEIRS = Hello("c", "murmur3", 0, 256, 1, "f00d", "beef", "n1", 1, "2" * 32, 1)
GREETINGS: list[Greeting] = [
    Challenge(PROTOCOL, bytes(NONCE_BYTES)),
    EarlierHello(2),
    THEIRS,
    Welcome(),
    Reject("because"),
    Crossed(),
]


class Talk:
    """A handshake, and the other side of it played by hand."""

    def __init__(self, role: Role) -> None:
        self.machine = Handshake(Credentials(OURS, SECRET), role, b"n" * NONCE_BYTES)
        self.other = HandshakeCipher(SECRET, b"m" * NONCE_BYTES, dialed=role is Role.LISTENER)

    def hear(self) -> list[bytes]:
        """The payloads that the machine has said since the last time."""
        frames, self.machine.frames = self.machine.frames, []
        return [split_frame(frame.removeprefix(PREFACE))[1] for frame in frames]

    def meet(self) -> None:
        heard = self.hear()
        assert self.machine.receive(self.other.challenge) is None
        heard += self.hear()
        self.other.meet(heard.pop(0))
        for payload in heard:
            assert self.other.open(payload) == OURS

    def say(self, greeting: Greeting) -> object:
        return self.machine.receive(self.other.seal(greeting))


def meeting(_talk: Talk) -> None:
    """As it begins."""


def greeting(talk: Talk) -> None:
    talk.meet()


def judging(talk: Talk) -> None:
    talk.meet()
    assert talk.say(THEIRS) == THEIRS


def awaiting(talk: Talk) -> None:
    judging(talk)
    talk.machine.answer(Welcome())
    for payload in talk.hear():
        assert talk.other.open(payload) in (OURS, Welcome())


def over(talk: Talk) -> None:
    judging(talk)
    talk.machine.answer(Crossed())
    for payload in talk.hear():
        assert talk.other.open(payload) == Crossed()


WAYS: dict[Phase, Callable[[Talk], None]] = {
    Phase.MEETING: meeting,
    Phase.GREETING: greeting,
    Phase.JUDGING: judging,
    Phase.AWAITING: awaiting,
    Phase.OVER: over,
}
EXPECTED = {
    (Role.DIALER, Phase.MEETING): (Challenge, Reject),
    (Role.LISTENER, Phase.MEETING): (Challenge, EarlierHello),
    (Role.DIALER, Phase.GREETING): (Hello, Reject, Crossed),
    (Role.LISTENER, Phase.GREETING): (Hello, Reject),
    (Role.LISTENER, Phase.AWAITING): (Welcome, Reject),
}


@pytest.mark.parametrize(
    ("role", "phase", "said"),
    list(product(Role, WAYS, GREETINGS)),
    ids=lambda value: str(value)[:20],
)
def test_only_what_is_next_may_come(role: Role, phase: Phase, said: Greeting) -> None:
    talk = Talk(role)
    WAYS[phase](talk)
    clear = phase is Phase.MEETING
    payload = encode_greeting(said) if clear else talk.other.seal(said)
    if isinstance(said, EXPECTED.get((role, talk.machine.phase), ())):
        talk.machine.receive(payload)
    else:
        with pytest.raises(ProtocolError, match=f"A {type(said).__name__} came where"):
            talk.machine.receive(payload)


def test_the_dialer_is_done_when_it_has_said_welcome() -> None:
    talk = Talk(Role.DIALER)
    awaiting(talk)
    assert talk.machine.phase is Phase.DONE
    assert talk.machine.theirs == THEIRS
    assert talk.machine.protocol == PROTOCOL


def test_the_listener_is_done_when_it_has_heard_welcome() -> None:
    talk = Talk(Role.LISTENER)
    awaiting(talk)
    assert talk.say(Welcome()) == Welcome()
    assert talk.machine.phase is Phase.DONE


def test_the_listener_says_nothing_before_it_is_spoken_to() -> None:
    assert Talk(Role.LISTENER).hear() == []


@pytest.mark.parametrize("first", [Challenge(9, bytes(NONCE_BYTES), PROTOCOL + 1), EarlierHello(2)])
def test_who_speaks_no_common_version_is_told_in_clear(first: Greeting) -> None:
    talk = Talk(Role.LISTENER)
    outcome = talk.machine.receive(encode_greeting(first))
    assert isinstance(outcome, TurnedAway)
    assert [decode_greeting(payload) for payload in talk.hear()] == [Reject(outcome.reason)]
    assert f"speaks version {PROTOCOL} of the protocol" in outcome.reason


def test_a_node_that_speaks_several_versions_takes_the_highest_that_both_do() -> None:
    talk = Talk(Role.DIALER)
    talk.other = HandshakeCipher(SECRET, b"m" * NONCE_BYTES, dialed=False, spoken=Versions(2, 7))
    talk.meet()
    assert talk.machine.protocol == talk.other.protocol == PROTOCOL
