"""A link: a `LinkMachine`, the wire it speaks over, and the turns and ticks it lives by.

    connecting ──> greeting ──> open ──> closing ──> lost

The hot path is built on batches. `send` appends to the outbox; the first message of a turn of the
loop schedules one flush, which has all that gathered made into one frame and writes it once.

What is written but not taken by the other side lies with the wire, encoded, so its size is exact;
over `unsent_bytes_max` the link is closed, for its peer does not read. Long messages go piece by
piece, the next whenever the wire has hardly anything left to send.

One timer a link: it bounds the handshake, then it ticks, and at last it bounds the closing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final, Protocol

from kvorum.links.handshake import Role, TurnedAway
from kvorum.links.log import Log
from kvorum.links.machine import LinkLimits, LinkMachine, Received, State, Terms, Updated
from kvorum.links.transport import Receiver
from kvorum.links.wire import Wire
from kvorum.model.certified_name import CERTIFIED_NAME, CertifiedName
from kvorum.model.errors import ProtocolError
from kvorum.runtime.ports import Cancellable, Runtime
from kvorum.wire.handshake import Crossed, Hello, Reject, Verdict, Welcome
from kvorum.wire.messages import Message, ViewUpdate

_OPEN: Final = State.OPEN
UNKNOWN: Final = -1
"""The node at the other end of an accepted link that has not said Hello."""


class LinkOwner(Protocol):
    """What links are given, and what they report to: one link_made and one link_lost each."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def receiver(self) -> Receiver: ...

    @property
    def terms(self) -> Terms: ...

    @property
    def log(self) -> Log: ...

    def link_made(self, link: Link) -> None: ...

    def link_greeted(self, link: Link, hello: Hello) -> Verdict:
        """Judges the other side's Hello; sets `link.node` where the verdict is Welcome."""

    def link_opened(self, link: Link) -> None: ...

    def link_received(self, link: Link, received: Received) -> None:
        """Messages of another epoch than `link.trusted_epoch`."""

    def link_updated(self, link: Link, update: ViewUpdate) -> None: ...

    def link_faulted(self, link: Link, error: Exception) -> None:
        """A bug was met while what had come over `link` was handled."""

    def link_lost(self, link: Link, reason: str) -> None:
        """Also called, without link_made, for a link that could not be connected."""


class Link:
    """One connection to another node, from the handshake to its end.

    `dialed`: by this node. `gave_way`: closed because another link to its node is kept. `left`:
    closed by the other side. `epoch`: the latest that the other side has shown. `trusted_epoch`:
    messages made in it mean the same on both sides; 0 while none does.
    """

    __slots__ = (
        "_machine",
        "_opened_at",
        "_outbox",
        "_owner",
        "_paused",
        "_pumping",
        "_reason",
        "_timer",
        "_traffic",
        "_wire",
        "dialed",
        "epoch",
        "gave_way",
        "left",
        "node",
        "remote",
        "trusted_epoch",
    )

    _wire: Wire

    def __init__(self, owner: LinkOwner, node: int, nonce: bytes) -> None:
        """`node` is the node that was dialed; UNKNOWN for a link that was accepted."""
        self.node = node
        self.dialed = node != UNKNOWN
        self.gave_way = False
        self.left = False
        self.remote = "an unknown host"
        self.epoch = 0
        self.trusted_epoch = 0
        self._owner = owner
        self._traffic = owner.terms.traffic
        self._machine = LinkMachine(
            owner.terms, Role.DIALER if self.dialed else Role.LISTENER, nonce
        )
        self._opened_at: float | None = None
        self._outbox: list[Message] = []
        self._paused = False
        self._pumping = False
        self._reason = ""
        self._timer: Cancellable | None = None

    @property
    def opened(self) -> bool:
        """True from the end of the handshake on, also when the link is closed again."""
        return self._opened_at is not None

    @property
    def hello(self) -> Hello | None:
        """What the other side has greeted with."""
        return self._machine.theirs

    @property
    def certified(self) -> CertifiedName | None:
        """The name in the other side's certificate; None without TLS. The link is connected."""
        name: CertifiedName | None = self._wire.get_extra_info(CERTIFIED_NAME)
        return name

    @property
    def heard(self) -> bool:
        """True if something has come in, since the last tick if it is open."""
        return self._machine.heard

    def age(self) -> float:
        """Seconds since the link opened; 0 if it never did."""
        return 0.0 if self._opened_at is None else self._owner.runtime.now() - self._opened_at

    @property
    def _limits(self) -> LinkLimits:
        return self._owner.terms.limits

    # Messages out

    def send(self, message: Message) -> None:
        """Send `message` over a link that has opened. It is lost if the link is, without notice."""
        outbox = self._outbox
        if not outbox:
            self._owner.runtime.call_soon(self._flush)
        outbox.append(message)

    def _flush(self) -> None:
        messages = self._outbox
        self._outbox = []
        machine = self._machine
        if machine.state is not _OPEN:
            self._traffic.messages_dropped += len(messages)
            return
        for frame in machine.frames(messages):
            self._write(frame)
        if machine.backlog.waiting:
            self._on_backlog()

    def _on_backlog(self) -> None:
        backlog = self._machine.backlog
        for size in backlog.take_refused():
            self._owner.log.warning(
                "dropped a message of %d bytes for node %d: %d bytes wait for it already",
                size,
                self.node,
                backlog.size,
            )
        if not self._pumping and not self._paused:
            self._pump_soon()

    def _pump_soon(self) -> None:
        self._pumping = True
        self._owner.runtime.call_soon(self._pump)

    def _pump(self) -> None:
        """Write one piece, and go on in the next turn of the loop if the wire takes more."""
        self._pumping = False
        if self._machine.state is not State.OPEN or self._paused:
            return
        frame = self._machine.next_piece()
        if frame is None:
            return
        self._write(frame)
        if not self._paused:
            self._pump_soon()

    def send_apart(self, message: Message) -> None:
        """Send `message`, which is short or may wait, in a frame of its own."""
        self.flush()
        self._outbox = [message]
        self._flush()

    def flush(self) -> None:
        """Write what waits for the end of this turn."""
        if self._outbox:
            self._flush()

    def advance(self, epoch: int) -> None:
        """Messages that are sent from now on are made in `epoch`."""
        self.flush()
        self._machine.advance(epoch)

    def _write(self, frame: bytes) -> None:
        self._traffic.bytes_out += len(frame)
        self._wire.write(frame)
        if self._paused:
            self._check_unsent()

    def _check_unsent(self) -> None:
        unsent = self._wire.get_write_buffer_size()
        if unsent > self._limits.unsent_bytes_max:
            self.fail(f"it does not read: {unsent} bytes wait to be sent")

    # From the wire

    def connected(self, wire: Wire, remote: str) -> None:
        """The link has a wire. `remote` is what people call the other end."""
        self._wire = wire
        self.remote = remote
        if self._machine.state is State.LOST:
            wire.abort()
            return
        limit = self._limits.handshake_s
        self._arm(limit, self.fail, f"no complete handshake within {limit:g} s")
        self._owner.link_made(self)
        self._greet()

    def received(self, data: bytes) -> None:
        try:
            for event in self._machine.receive(data):
                if self._reason:
                    return
                if type(event) is Received:
                    self._deliver(event)
                else:
                    self._HANDLERS[type(event)](self, event)
            if self._opened_at is None:
                self._greet()
        except ProtocolError as error:
            self._traffic.protocol_errors += 1
            self.fail(error.message)
        except Exception as error:  # noqa: BLE001  a bug met on one link must not reach the others
            self._owner.link_faulted(self, error)

    def _deliver(self, received: Received) -> None:
        if received.epoch != self.trusted_epoch:
            self._owner.link_received(self, received)
            return
        on_message = self._owner.receiver.on_message
        node = self.node
        for message in received.messages:
            on_message(node, message)

    def paused(self) -> None:
        """The wire has more to send than it likes."""
        self._paused = True

    def resumed(self) -> None:
        """The wire has hardly anything left to send."""
        self._paused = False
        if self._machine.backlog.waiting and not self._pumping:
            self._pump_soon()

    def ended(self) -> None:
        """The other side sends nothing more."""
        self.left = True
        self.fail(self._its_end(None))

    def lost(self, error: Exception | None) -> None:
        """The connection has ended, or could not be made. Does nothing if that was known."""
        machine = self._machine
        if machine.state is State.LOST:
            return
        if not self._reason:
            self.left = True
        reason = self._reason or self._its_end(error)
        machine.become(State.LOST)
        if self._timer is not None:
            self._timer.cancel()
        machine.backlog.clear()
        self._owner.link_lost(self, reason)

    def _its_end(self, error: Exception | None) -> str:
        """Why the other side may have closed."""
        if self._machine.proven:
            return (
                "it closed the connection when this node had said who it is; "
                "check that both have the same cluster secret"
            )
        return str(error or "it closed the connection")

    # The handshake

    def _greet(self) -> None:
        if not self._reason:
            for frame in self._machine.greetings():
                self._write(frame)

    def _on_hello(self, hello: Hello) -> None:
        verdict = self._owner.link_greeted(self, hello)
        self._machine.answer(verdict)
        self._greet()
        if isinstance(verdict, Reject):
            self.close(f"refused: {verdict.reason}")
        elif isinstance(verdict, Crossed):
            self.gave_way = True
            self.close("crossed")
        elif self._machine.state is State.OPEN:
            self._open()

    def _on_welcome(self, _welcome: Welcome) -> None:
        self._open()

    def _on_reject(self, rejected: Reject) -> None:
        self.fail(f"It refused this node: {rejected.reason!r}")

    def _on_crossed(self, _crossed: Crossed) -> None:
        self.give_way()

    def _on_turned_away(self, turned_away: TurnedAway) -> None:
        self._greet()
        self.close(f"refused: {turned_away.reason}")

    def _on_updated(self, updated: Updated) -> None:
        self._owner.link_updated(self, updated.update)

    def _open(self) -> None:
        self._opened_at = self._owner.runtime.now()
        self._arm(self._limits.tick_s, self._tick)
        self._owner.link_opened(self)

    # Liveness and the end

    def _arm(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._owner.runtime.call_later(delay_s, callback, *args)

    def _tick(self) -> None:
        machine = self._machine
        sign_of_life = machine.tick()
        if machine.dead:
            self.fail(f"nothing heard for {machine.silent_s:g} s")
            return
        self._arm(self._limits.tick_s, self._tick)
        if sign_of_life is not None:
            self._write(sign_of_life)

    def close(self, reason: str) -> None:
        """Write what waits to be written, within `closing_s`, then close."""
        self.flush()
        if self._end(reason):
            self._arm(self._limits.closing_s, self._wire.abort)
            self._wire.close()

    def fail(self, reason: str) -> None:
        """Close at once."""
        if self._end(reason):
            self._wire.abort()

    def _end(self, reason: str) -> bool:
        """Begin the end. False if it had begun before."""
        if self._reason or self._machine.state is State.LOST:
            return False
        self._reason = reason
        if self._machine.state is not State.CLOSING:  # it may have said the last word itself
            self._machine.become(State.CLOSING)
        return True

    def give_way(self) -> None:
        """Close at once, because another link to the node is kept."""
        self.gave_way = True
        self.fail("another link to the node is kept")

    _HANDLERS: ClassVar[dict[type, Callable[[Any, Any], None]]] = {
        Hello: _on_hello,
        Welcome: _on_welcome,
        Reject: _on_reject,
        Crossed: _on_crossed,
        TurnedAway: _on_turned_away,
        Updated: _on_updated,
    }
