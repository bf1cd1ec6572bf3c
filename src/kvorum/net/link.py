"""A link: one connection to another node, as an asyncio protocol.

    greeting ── each has proven itself and is welcome ──> open ──> closing ──> lost

The hot path is built on batches. `send` appends to the outbox; the first message of a loop
iteration schedules one flush, which encodes all that gathered as one frame and writes it
once. A read is cut into frames, each decoded in one go, and its messages handled in order.

What is written but not taken by the other side lies in the transport's buffer, encoded, so
its size is exact; over `unsent_bytes_max` the link is closed, for its peer does not read.

A message that is too long for one frame waits in the backlog and is sent in pieces, the next
whenever the transport has hardly anything left to send. So all that is short overtakes it, and
waits behind one piece at most.

One timer a link: it bounds the handshake, then it ticks. An open link that wrote nothing for
a tick writes an empty batch; a link that heard nothing for `silent_ticks_max` ticks is dead.
Silence is counted in ticks and not read off a clock, so a process that was stopped for a
while does not wake up to close its healthy links.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from kvorum.model.errors import ProtocolError
from kvorum.net.backlog import Backlog
from kvorum.net.traffic import Traffic
from kvorum.net.transport import Receiver
from kvorum.runtime.faults import kind
from kvorum.runtime.loop import LoopRuntime
from kvorum.runtime.ports import Cancellable
from kvorum.wire.frames import (
    FRAME_BYTES_MAX,
    HANDSHAKE_EPOCH,
    PREFACE,
    FrameDecoder,
    encode_frame,
)
from kvorum.wire.handshake import (
    DIALER_FRAMES,
    LISTENER_FRAMES,
    NONCE_BYTES,
    Crossed,
    Greeting,
    Hello,
    Reject,
    Verdict,
    Welcome,
    encode_greeting,
    other_version_in,
    reject,
)
from kvorum.wire.handshake_cipher import HandshakeCipher
from kvorum.wire.messages import Message, decode_batch, encode_batch, pack
from kvorum.wire.pieces import PIECE_MARK, Assembly

UNKNOWN: Final = -1
"""The node at the other end of an accepted link that has not said Hello."""

_GREETING, _OPEN, _CLOSING, _LOST = range(4)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    handshake_s: float = 3.0
    tick_s: float = 1.0
    silent_ticks_max: int = 5
    unsent_bytes_max: int = 32 << 20
    backlog_bytes_max: int = 128 << 20
    closing_s: float = 1.0


class LinkOwner(Protocol):
    """What links are given, and whom they report to: one link_made and one link_lost each."""

    runtime: LoopRuntime
    receiver: Receiver
    hello: Hello
    secret: bytes
    traffic: Traffic
    link_limits: LinkLimits

    def link_made(self, link: Link) -> None: ...

    def link_greeted(self, link: Link, hello: Hello) -> Verdict:
        """Judges the other side's Hello; sets `link.node` where the verdict is Welcome."""

    def link_opened(self, link: Link) -> None: ...

    def link_lost(self, link: Link, reason: str) -> None:
        """Also called, without link_made, for a link that could not be connected."""


class Link(asyncio.Protocol):
    """`dialed`: by this node. `gave_way`: closed because another link to its node is kept.
    `left`: closed by the other side. `heard`: something has come in, since the last tick if it
    is open.
    """

    __slots__ = (
        "_assembly",
        "_backlog",
        "_cipher",
        "_decoder",
        "_epoch",
        "_opened_at",
        "_outbox",
        "_owner",
        "_paused",
        "_pumping",
        "_reason",
        "_silent_ticks",
        "_spoke",
        "_state",
        "_timer",
        "_traffic",
        "_transport",
        "dialed",
        "gave_way",
        "heard",
        "hello",
        "left",
        "node",
        "remote",
    )

    _transport: asyncio.Transport

    def __init__(self, owner: LinkOwner, node: int) -> None:
        """`node` is the node that was dialed; UNKNOWN for a link that was accepted."""
        self.node = node
        self.dialed = node != UNKNOWN
        self.gave_way = False
        self.left = False
        self.hello: Hello | None = None
        self.remote = "an unknown host"
        self._opened_at: float | None = None
        self._owner = owner
        self._traffic = owner.traffic
        self._epoch = owner.hello.epoch
        self._cipher = HandshakeCipher(
            owner.secret, secrets.token_bytes(NONCE_BYTES), dialed=self.dialed
        )
        self._decoder = FrameDecoder(self._epoch, LISTENER_FRAMES if self.dialed else DIALER_FRAMES)
        self._assembly = Assembly()
        self._backlog = Backlog(owner.link_limits.backlog_bytes_max, owner.traffic)
        self._pumping = False
        self._state = _GREETING
        self._reason = ""
        self._timer: Cancellable | None = None
        self._outbox: list[Message] = []
        self._paused = False
        self.heard = False
        self._spoke = False
        self._silent_ticks = 0

    @property
    def opened(self) -> bool:
        """True from the end of the handshake on, also when the link is closed again."""
        return self._opened_at is not None

    def age(self) -> float:
        """Seconds since the link opened; 0 if it never did."""
        return 0.0 if self._opened_at is None else self._owner.runtime.now() - self._opened_at

    # Messages

    def send(self, message: Message) -> None:
        """For a link that has opened. The message is lost if the link is, without a word."""
        outbox = self._outbox
        if not outbox:
            self._owner.runtime.call_soon(self._flush)
        outbox.append(message)

    def _flush(self) -> None:
        messages = self._outbox
        self._outbox = []
        self._write_messages(messages)

    def _write_messages(self, messages: list[Message]) -> None:
        if self._state != _OPEN:
            self._traffic.messages_dropped += len(messages)
            return
        payload = encode_batch(messages)
        if len(payload) <= FRAME_BYTES_MAX:
            self._write_batch(payload)
            self._traffic.messages_out += len(messages)
        else:
            self._write_apart(messages)

    def _write_apart(self, messages: list[Message]) -> None:
        """The short ones in as few frames as they fit; each long one when its turn comes."""
        packed = pack(messages, FRAME_BYTES_MAX)
        for payload, count in packed.batches:
            self._write_batch(payload)
            self._traffic.messages_out += count
        for whole in packed.wholes:
            self._put_back(whole)

    def _put_back(self, whole: bytes) -> None:
        backlog = self._backlog
        if not backlog.add(whole, self._owner.runtime.now()):
            _log.warning(
                "dropped a message of %d bytes for node %d: %d bytes wait for it already",
                len(whole),
                self.node,
                backlog.size,
            )
        elif not self._pumping and not self._paused:
            self._pump_soon()

    def _pump_soon(self) -> None:
        self._pumping = True
        self._owner.runtime.call_soon(self._pump)

    def _pump(self) -> None:
        """Write one piece, and go on in the next turn of the loop if the transport takes more."""
        self._pumping = False
        if self._state != _OPEN or self._paused:
            return
        piece = self._backlog.next_piece(self._owner.runtime.now())
        if piece is None:
            return
        self._write_batch(piece)
        if not self._paused:
            self._pump_soon()

    def _write_batch(self, payload: bytes) -> None:
        self._spoke = True
        self._traffic.frames_out += 1
        self._write(encode_frame(self._epoch, payload))
        if self._paused:
            self._check_unsent()

    def _write(self, data: bytes) -> None:
        self._traffic.bytes_out += len(data)
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        self.heard = True
        self._traffic.bytes_in += len(data)
        try:
            for payload in self._decoder.feed(data):
                if self._state == _OPEN:
                    self._take(payload)
                elif self._state == _GREETING:
                    self._greet(payload)
        except ProtocolError as error:
            self._traffic.protocol_errors += 1
            self.fail(error.message)
        except Exception as error:  # noqa: BLE001  a bug met on one link must not reach the others
            self._owner.runtime.loop.call_exception_handler(
                {
                    "message": f"failed to handle what node {self.node} at {self.remote} sent",
                    "exception": error,
                    "protocol": self,
                }
            )
            self.fail(f"this node failed to handle a message: {kind(error)}")

    def _take(self, payload: bytes) -> None:
        self._traffic.frames_in += 1
        if not payload.startswith(PIECE_MARK):
            self._deliver(decode_batch(payload))
        elif whole := self._assembly.add(payload):
            self._deliver(decode_batch(whole))

    def _deliver(self, messages: list[Message]) -> None:
        self._traffic.messages_in += len(messages)
        on_message = self._owner.receiver.on_message
        node = self.node
        for message in messages:
            on_message(node, message)

    # Backpressure

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._backlog and not self._pumping:
            self._pump_soon()

    def _check_unsent(self) -> None:
        unsent = self._transport.get_write_buffer_size()
        if unsent > self._owner.link_limits.unsent_bytes_max:
            self.fail(f"it does not read: {unsent} bytes wait to be sent")

    # The handshake

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if self._state == _LOST:
            self._transport.abort()
            return
        peer = transport.get_extra_info("peername")
        if peer:
            self.remote = str(peer[0])
        limit = self._owner.link_limits.handshake_s
        self._arm(limit, self.fail, f"no complete handshake within {limit:g} s")
        self._owner.link_made(self)
        if self.dialed and self._state == _GREETING:
            self._write(PREFACE + _frame(self._cipher.challenge))

    def _greet(self, payload: bytes) -> None:
        if self._cipher.met:
            self._hear(self._cipher.open(payload))
        elif self.dialed:
            self._cipher.meet(payload)
            self._say(self._owner.hello)
        else:
            self._be_met(payload)

    def _be_met(self, payload: bytes) -> None:
        """Somebody has called, and proven nothing yet."""
        reason = other_version_in(payload)
        if reason is not None:
            self._write(PREFACE + _frame(encode_greeting(reject(reason))))
            self.close(f"refused: {reason}")
            return
        self._cipher.meet(payload)
        self._write(PREFACE + _frame(self._cipher.challenge))

    def _hear(self, greeting: Greeting) -> None:
        match greeting:
            case Hello() if self.hello is None:
                self._judge(greeting)
            case Welcome() if self.hello is not None:
                self._open()
            case Reject():
                self.fail(f"it refused this node: {greeting.reason!r}")
            case Crossed() if self.dialed:
                self.give_way()
            case _:
                next_ = "Hello" if self.hello is None else "Welcome"
                got = type(greeting).__name__
                raise ProtocolError(f"a {got} came where a {next_} was next")

    def _judge(self, hello: Hello) -> None:
        self.hello = hello
        verdict = self._owner.link_greeted(self, hello)
        if isinstance(verdict, Welcome):
            self._say(verdict if self.dialed else self._owner.hello)
            if self.dialed:
                self._open()
            return
        self._say(verdict)
        if isinstance(verdict, Reject):
            self.close(f"refused: {verdict.reason}")
        else:
            self.gave_way = True
            self.close("crossed")

    def _say(self, greeting: Greeting) -> None:
        self._write(_frame(self._cipher.seal(greeting)))

    def _open(self) -> None:
        self._state = _OPEN
        self._opened_at = self._owner.runtime.now()
        self._arm(self._owner.link_limits.tick_s, self._tick)
        self._owner.link_opened(self)

    # Liveness and the end

    def _arm(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._owner.runtime.call_later(delay_s, callback, *args)

    def _tick(self) -> None:
        limits = self._owner.link_limits
        self._silent_ticks = 0 if self.heard else self._silent_ticks + 1
        if self._silent_ticks >= limits.silent_ticks_max:
            self.fail(f"nothing heard for {self._silent_ticks * limits.tick_s:g} s")
            return
        self._arm(limits.tick_s, self._tick)
        if not self._spoke:
            self._write_batch(encode_batch([]))
        self.heard = self._spoke = False

    def close(self, reason: str) -> None:
        """Write what waits to be written, within `closing_s`, then close."""
        if self._outbox:
            self._flush()
        if self._state < _CLOSING:
            self._state = _CLOSING
            self._reason = reason
            self._arm(self._owner.link_limits.closing_s, self._transport.abort)
            self._transport.close()

    def fail(self, reason: str) -> None:
        """Close at once."""
        if self._state < _CLOSING:
            self._state = _CLOSING
            self._reason = reason
            self._transport.abort()

    def give_way(self) -> None:
        self.gave_way = True
        self.fail("another link to the node is kept")

    def eof_received(self) -> None:
        self.left = True
        self.fail(self._its_end(None))

    def _its_end(self, error: Exception | None) -> str:
        """Why the other side may have closed."""
        if self.dialed and self._state == _GREETING and self._cipher.met:
            return (
                "it closed the connection when this node had said who it is; "
                "check that both have the same cluster secret"
            )
        return str(error or "it closed the connection")

    def connection_lost(self, error: Exception | None) -> None:
        """Also called by a dialer whose attempt failed: not every loop does it."""
        if self._state == _LOST:
            return
        if not self._reason:
            self.left = True
        reason = self._reason or self._its_end(error)
        self._state = _LOST
        if self._timer is not None:
            self._timer.cancel()
        self._backlog.clear()
        self._owner.link_lost(self, reason)


def _frame(payload: bytes) -> bytes:
    return encode_frame(HANDSHAKE_EPOCH, payload)
