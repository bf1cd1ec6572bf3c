"""One side of a link as a state machine: bytes and ticks in, events and frames out. No I/O.

    greeting ── both have proven themselves and are welcome ──> open ──> closing ──> lost
        `───────────────────────────────────────────────────────────────^

`receive` takes bytes, cut anyhow, and returns what they mean; `frames` collects what is to be
written, in order and each whole. Sending is built on batches: all that gathered in a turn is one
frame.

A message that is too long for one frame waits in the backlog and is handed out in pieces, one
whenever the wire takes more. So all that is short overtakes it, and waits behind one piece at most.

Silence is counted in ticks and not read off a clock, so a process that was stopped for a while does
not wake up to find its healthy links dead. An open link that wrote nothing for a tick writes an
empty batch; one that heard nothing for `silent_ticks_max` ticks is dead.

Each frame carries the epoch it was made in; what comes is handed on together with its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from kvorum.links.backlog import Backlog
from kvorum.links.handshake import Credentials, Handshake, Outcome, Phase, Role
from kvorum.links.traffic import Traffic
from kvorum.wire.batches import decode_batch, encode_batch, pack
from kvorum.wire.frames import FRAME_BYTES_MAX, FrameDecoder, encode_frame
from kvorum.wire.handshake import DIALER_FRAMES, LISTENER_FRAMES, Hello, Verdict
from kvorum.wire.messages import Message, ViewUpdate
from kvorum.wire.pieces import PIECE_MARK, Assembly


class State(IntEnum):
    """The states of a link, in the order in which it goes through them."""

    GREETING = 0
    OPEN = 1
    CLOSING = 2
    LOST = 3


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """The bounds on one link. `unsent_bytes_max`: written and not taken by the other side."""

    handshake_s: float = 3.0
    tick_s: float = 1.0
    silent_ticks_max: int = 5
    unsent_bytes_max: int = 32 << 20
    backlog_bytes_max: int = 128 << 20
    closing_s: float = 1.0


@dataclass(slots=True)
class Terms:
    """What all links of a node have in common. `epoch`: the one that its messages are made in."""

    credentials: Credentials
    epoch: int
    now: Callable[[], float]
    """Monotonic seconds."""
    limits: LinkLimits = field(default_factory=LinkLimits)
    traffic: Traffic = field(default_factory=Traffic)


class Received:
    """Messages that came in one frame, or one that came in pieces, made in `epoch`."""

    __slots__ = ("epoch", "messages")

    def __init__(self, epoch: int, messages: list[Message]) -> None:
        self.epoch = epoch
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Updated:
    """The other side has sent what this one lacks to come to a later epoch."""

    update: ViewUpdate


Event = Received | Updated | Outcome

_AFTER: Final = {
    State.GREETING: (State.OPEN, State.CLOSING, State.LOST),
    State.OPEN: (State.CLOSING, State.LOST),
    State.CLOSING: (State.LOST,),
    State.LOST: (),
}
_OPEN: Final = State.OPEN
_EMPTY: Final = encode_batch([])


class LinkMachine:
    """One side of a link. `heard`: something has come in, since the last tick if it is open."""

    __slots__ = (
        "_assembly",
        "_decoder",
        "_epoch",
        "_handshake",
        "_silent_ticks",
        "_spoke",
        "_terms",
        "_traffic",
        "backlog",
        "heard",
        "state",
    )

    def __init__(self, terms: Terms, role: Role, nonce: bytes) -> None:
        """`nonce`: random bytes, drawn for this link."""
        self._terms = terms
        self._traffic = terms.traffic
        self._epoch = terms.epoch
        self._handshake = Handshake(terms.credentials, role, nonce)
        self._decoder = FrameDecoder(LISTENER_FRAMES if role is Role.DIALER else DIALER_FRAMES)
        self._assembly = Assembly()
        self._silent_ticks = 0
        self._spoke = False
        self.backlog = Backlog(terms.limits.backlog_bytes_max, terms.traffic)
        self.heard = False
        self.state = State.GREETING

    @property
    def theirs(self) -> Hello | None:
        """What the other side has greeted with."""
        return self._handshake.theirs

    @property
    def protocol(self) -> int | None:
        """The version of the protocol that the two speak; None before both have told theirs."""
        return self._handshake.protocol

    @property
    def proven(self) -> bool:
        """True if this side has dialed, and said who it is, and was not answered yet."""
        return self.state is State.GREETING and self._handshake.proven

    # In

    def receive(self, data: bytes) -> list[Event]:
        """What `data` completes. Raises ProtocolError where the other side breaks the protocol."""
        self.heard = True
        self._traffic.bytes_in += len(data)
        events: list[Event] = []
        for epoch, payload in self._decoder.feed(data):
            if self.state is _OPEN:
                self._take(epoch, payload, events)
            elif self.state is State.GREETING:
                self._greet(payload, events)
        return events

    def _take(self, epoch: int, payload: bytes, events: list[Event]) -> None:
        traffic = self._traffic
        traffic.frames_in += 1
        if payload[0:1] != PIECE_MARK:
            messages = decode_batch(payload)
        elif whole := self._assembly.add(payload):
            messages = decode_batch(whole)
        else:
            return
        if not messages:
            return
        traffic.messages_in += len(messages)
        first = messages[0]
        if type(first) is ViewUpdate:
            events.append(Updated(first))
        else:
            events.append(Received(epoch, messages))

    def _greet(self, payload: bytes, events: list[Event]) -> None:
        outcome = self._handshake.receive(payload)
        if outcome is not None:
            events.append(outcome)
        self._look()

    def answer(self, verdict: Verdict) -> None:
        """Say whether the Hello that came is welcome."""
        self._handshake.answer(verdict)
        self._look()

    def _look(self) -> None:
        phase = self._handshake.phase
        if phase is Phase.DONE:
            self.become(State.OPEN)
        elif phase is Phase.OVER:
            self.become(State.CLOSING)

    def become(self, state: State) -> None:
        """Go on to `state`. Raises ValueError where no way leads there."""
        if state not in _AFTER[self.state]:
            raise ValueError(f"a link that is {self.state.name} cannot become {state.name}")
        self.state = state

    def tick(self) -> bytes | None:
        """A tick has passed on an open link: the frame to send as a sign of life, if one is due."""
        self._silent_ticks = 0 if self.heard else self._silent_ticks + 1
        silent = not self._spoke and not self.dead
        sign = self._frame(_EMPTY) if silent else None
        self.heard = self._spoke = False
        return sign

    @property
    def silent_s(self) -> float:
        """For how long, in whole ticks, nothing has been heard."""
        return self._silent_ticks * self._terms.limits.tick_s

    @property
    def dead(self) -> bool:
        """True if nothing has been heard for too long."""
        return self._silent_ticks >= self._terms.limits.silent_ticks_max

    # Out

    def greetings(self) -> list[bytes]:
        """What is to be written of the handshake, and was not handed out before."""
        frames = self._handshake.frames
        self._handshake.frames = []
        return frames

    def frames(self, messages: list[Message]) -> list[bytes]:
        """`messages` in as few frames as they fit; what is too long goes to the backlog."""
        payload = encode_batch(messages)
        if len(payload) <= FRAME_BYTES_MAX:
            self._traffic.messages_out += len(messages)
            return [self._frame(payload)]
        packed = pack(messages, FRAME_BYTES_MAX)
        for whole in packed.wholes:
            self.backlog.add(whole, self._epoch, self._terms.now())
        self._traffic.messages_out += sum(count for _, count in packed.batches)
        return [self._frame(payload) for payload, _ in packed.batches]

    def next_piece(self) -> bytes | None:
        """The next frame of what waits in the backlog; None if nothing does."""
        piece = self.backlog.next_piece(self._terms.now())
        return None if piece is None else self._frame(piece.payload, piece.epoch)

    def advance(self, epoch: int) -> None:
        """Messages are made in `epoch` from now on."""
        self._epoch = epoch

    def _frame(self, payload: bytes, epoch: int = 0) -> bytes:
        """`epoch`: 0 for the one of today."""
        self._spoke = True
        self._traffic.frames_out += 1
        return encode_frame(epoch or self._epoch, payload)
