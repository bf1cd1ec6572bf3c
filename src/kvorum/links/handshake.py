"""The handshake of one side of a link, as a state machine: greetings in, greetings out.

    dialer      meeting ── Challenge ──> greeting ── Hello ──> judging ── our Welcome ──> done
    listener    meeting ── Challenge ──> greeting ── Hello ──> judging ── our Hello ──> awaiting
                awaiting ── Welcome ──> done

Whatever else comes ends it: `_STEPS` has a row for each greeting that may come, and where there is
no row, the other side breaks the protocol. `wire/handshake.py` says what the greetings mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from kvorum.model.errors import ProtocolError
from kvorum.wire.frames import HANDSHAKE_EPOCH, PREFACE, encode_frame
from kvorum.wire.handshake import (
    SPOKEN,
    Challenge,
    Crossed,
    EarlierHello,
    Greeting,
    Hello,
    Reject,
    Verdict,
    Versions,
    Welcome,
    decode_greeting,
    encode_greeting,
    no_common_version,
    reject,
)
from kvorum.wire.handshake_cipher import HandshakeCipher


class Role(Enum):
    """Which end of the connection a side is."""

    DIALER = "dialer"
    LISTENER = "listener"


class Phase(Enum):
    """What this side waits for; the value says it, for the error when something else comes."""

    MEETING = "a Challenge"
    GREETING = "a Hello"
    JUDGING = "this side's answer"
    AWAITING = "a Welcome"
    DONE = "a batch"
    OVER = "nothing"


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """This side has refused the other before it knew who that is."""

    reason: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a node greets others with."""

    hello: Hello
    secret: bytes = field(repr=False)
    spoken: Versions = SPOKEN


Outcome = Hello | Welcome | Reject | Crossed | TurnedAway
"""What a greeting leads to: a Hello that is to be judged, or what the handshake ends with."""


class Handshake:
    """The handshake of one side.

    `frames`: what this side has to send, in order; the list is emptied by whatever sends them.
    `theirs`: what the other side has greeted with.
    """

    def __init__(self, credentials: Credentials, role: Role, nonce: bytes) -> None:
        """`nonce`: random bytes, drawn for this handshake."""
        dialed = role is Role.DIALER
        self._credentials = credentials
        self._role = role
        self._cipher = HandshakeCipher(
            credentials.secret, nonce, dialed=dialed, spoken=credentials.spoken
        )
        self.phase = Phase.MEETING
        self.frames: list[bytes] = []
        self.theirs: Hello | None = None
        if dialed:
            self._say_in_clear(self._cipher.challenge)

    @property
    def protocol(self) -> int | None:
        """The version of the protocol that both speak; None before the challenges have met."""
        return self._cipher.protocol

    @property
    def proven(self) -> bool:
        """True if this side has shown that it knows the secret, and is still to be answered."""
        return self._role is Role.DIALER and self.phase is Phase.GREETING

    def receive(self, payload: bytes) -> Outcome | None:
        """Take the other side's next greeting. Raises ProtocolError if it may not come now."""
        if self.phase is Phase.MEETING:
            greeting = decode_greeting(payload)
        else:
            greeting = self._cipher.open(payload)
        step = self._STEPS.get((self._role, self.phase, type(greeting)))
        if step is None:
            raise ProtocolError(
                f"A {type(greeting).__name__} came where {self.phase.value} was next."
            )
        return step(self, greeting, payload)

    def answer(self, verdict: Verdict) -> None:
        """Say whether the Hello that came is welcome."""
        assert self.phase is Phase.JUDGING, self.phase
        if not isinstance(verdict, Welcome):
            self._end(verdict)
        elif self._role is Role.DIALER:
            self._say(verdict)
            self.phase = Phase.DONE
        else:
            self._say(self._credentials.hello)
            self.phase = Phase.AWAITING

    # The steps

    def _meet(self, _challenge: Challenge, payload: bytes) -> None:
        self._cipher.meet(payload)
        self._say(self._credentials.hello)
        self.phase = Phase.GREETING

    def _be_met(self, challenge: Challenge | EarlierHello, payload: bytes) -> Outcome | None:
        """A dialer has sent its first greeting, which proves nothing yet."""
        if self._credentials.spoken.agreed(challenge.versions) is None:
            reason = no_common_version(self._credentials.spoken, challenge.versions)
            self._say_in_clear(encode_greeting(reject(reason)))
            self.phase = Phase.OVER
            return TurnedAway(reason)
        self._cipher.meet(payload)
        self._say_in_clear(self._cipher.challenge)
        self.phase = Phase.GREETING
        return None

    def _judge(self, hello: Hello, _payload: bytes) -> Outcome:
        self.theirs = hello
        self.phase = Phase.JUDGING
        return hello

    def _be_welcomed(self, welcome: Welcome, _payload: bytes) -> Outcome:
        self.phase = Phase.DONE
        return welcome

    def _be_ended(self, verdict: Reject | Crossed, _payload: bytes) -> Outcome:
        self.phase = Phase.OVER
        return verdict

    def _end(self, verdict: Verdict) -> None:
        self._say(verdict)
        self.phase = Phase.OVER

    def _say(self, greeting: Greeting) -> None:
        self.frames.append(encode_frame(HANDSHAKE_EPOCH, self._cipher.seal(greeting)))

    def _say_in_clear(self, greeting: bytes) -> None:
        self.frames.append(PREFACE + encode_frame(HANDSHAKE_EPOCH, greeting))

    _STEPS: ClassVar[
        dict[tuple[Role, Phase, type[Greeting]], Callable[[Any, Any, bytes], Outcome | None]]
    ] = {
        (Role.DIALER, Phase.MEETING, Challenge): _meet,
        (Role.DIALER, Phase.MEETING, Reject): _be_ended,
        (Role.DIALER, Phase.GREETING, Hello): _judge,
        (Role.DIALER, Phase.GREETING, Reject): _be_ended,
        (Role.DIALER, Phase.GREETING, Crossed): _be_ended,
        (Role.LISTENER, Phase.MEETING, Challenge): _be_met,
        (Role.LISTENER, Phase.MEETING, EarlierHello): _be_met,
        (Role.LISTENER, Phase.GREETING, Hello): _judge,
        (Role.LISTENER, Phase.GREETING, Reject): _be_ended,
        (Role.LISTENER, Phase.AWAITING, Welcome): _be_welcomed,
        (Role.LISTENER, Phase.AWAITING, Reject): _be_ended,
    }
