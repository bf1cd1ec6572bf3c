"""Virtual wires: what the links of simulated nodes speak over, as those of real ones over sockets.

The links are the real node's (`links/`): their bytes go from one `Peers` to another, and the
simulator knows nothing of what they say. A wire has two ends, which do not learn of its end at the
same time:

    A: write  write  write ............ lost
    B:                       lost
              ^ break: what A writes from here on goes nowhere;
                what B has written still arrives until A has heard

Links hand out whole frames. On a wire whose link is open at both ends a frame may be lost,
overtaken or come twice, as `network.py` says: more than a connection does to its bytes, but each
frame stands for itself. What comes before, the greetings, and the end of a wire keep their order.

A message that is too long for a frame goes in pieces, one at a time, and short ones overtake them.
The loss of one piece is the loss of all that follow it.

A duplicated batch comes without its `Forward`s: to coordinate a client's request twice is
to write twice. All other messages have to be idempotent.
"""

from __future__ import annotations

import random
from typing import Final

from xxhash import xxh3_64_hexdigest

from kvorum.links.limits import LinksLimits
from kvorum.links.link import Link
from kvorum.links.machine import LinkLimits
from kvorum.links.peers import Peers
from kvorum.links.reconnect import DialLimits
from kvorum.sim.network import Network
from kvorum.sim.scheduler import NodeRuntime
from kvorum.sim.trace import Trace
from kvorum.wire.batches import decode_batch, encode_batch
from kvorum.wire.frames import HEADER_BYTES, encode_frame, split_frame
from kvorum.wire.handshake import NONCE_BYTES
from kvorum.wire.messages import Forward, Message
from kvorum.wire.pieces import PIECE_MARK, begins_whole

LIMITS: Final = LinksLimits(
    link=LinkLimits(handshake_s=1.0), dial=DialLimits(pause_min_s=0.01, pause_max_s=0.5)
)
_HEARD_S_MAX: Final = 0.05


class WireLog:
    """What a node's links tell people, as lines of the trace."""

    def __init__(self, trace: Trace, node: int) -> None:
        self._trace = trace
        self._node = node

    def debug(self, text: str, /, *args: object) -> None:
        """Nothing that would add to the trace."""

    def info(self, text: str, /, *args: object) -> None:
        self._trace.note(f"n{self._node} {text % args}")

    warning = info


class Wire:
    """One end of a connection. `link`: None until the node at this end has accepted it."""

    far: Wire

    def __init__(self, wires: Wires, plug: Plug, link: Link | None) -> None:
        """`plug`: where this end is plugged in."""
        self._wires = wires
        self._open = False
        self._losing = False
        self._unsent = 0
        self.broken = False
        self.closed = False
        self.link = link
        self.node = plug.node
        self.plug = plug

    @property
    def open(self) -> bool:
        """True once the link over this wire is open at both ends."""
        if not self._open:
            near, far = self.link, self.far.link
            self._open = near is not None and near.opened and far is not None and far.opened
        return self._open

    # The port of links

    def write(self, data: bytes) -> None:
        if self.broken or self.closed:
            return
        far = self.far
        network, receiver = self._wires.network, far.plug.runtime
        if not self._open and not self.open:
            network.carry_in_order(self.node, far.node, receiver, far.receive, data)
        elif data.startswith(PIECE_MARK, HEADER_BYTES):
            self._write_piece(data)
        else:
            network.carry(self.node, far.node, receiver, far.receive, data)
            if network.duplicates():
                network.carry_again(receiver, far.receive, _as_it_may_come_again(data))

    def _write_piece(self, data: bytes) -> None:
        """The wire takes the next piece when this one has arrived."""
        far, network, link = self.far, self._wires.network, self.link
        assert link is not None
        if begins_whole(data[HEADER_BYTES:]):
            self._losing = network.loses()
        arrives_in_s = network.carry_piece(
            self.node, far.node, far.plug.runtime, None if self._losing else far.receive, data
        )
        self._losing = self._losing or network.is_blocked(self.node, far.node)
        self._unsent += len(data)
        link.paused()
        self.plug.runtime.call_later(arrives_in_s, self._take_more, len(data))

    def _take_more(self, size: int) -> None:
        self._unsent -= size
        if self.link is not None and not self.closed:
            self.link.resumed()

    def close(self) -> None:
        """What was written is on its way already."""
        self.abort()

    def abort(self) -> None:
        if self.closed:
            return
        self._end()
        assert self.link is not None
        self.plug.runtime.call_soon(self.link.lost, None)
        if not self.broken and not self.far.closed:
            self._wires.forget(self)
            self._wires.network.carry_in_order(
                self.node, self.far.node, self.far.plug.runtime, self.far.hear_end, b""
            )

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def get_extra_info(self, _name: str) -> None:
        """Simulated nodes show no certificates."""

    # From the other end

    def receive(self, data: bytes) -> None:
        link = self.link
        if not self.closed and link is not None:
            self._wires.note_frame(self, data)
            link.received(data)

    def hear_end(self, _nothing: bytes) -> None:
        if not self.closed and self.link is not None:
            self.link.ended()

    def hear_break(self) -> None:
        if not self.closed:
            self._end()
            if self.link is not None:
                self.link.lost(ConnectionResetError("the connection broke"))

    def break_soon(self, heard_in_s: float) -> None:
        self.broken = True
        self.plug.runtime.call_later(heard_in_s, self.hear_break)

    def _end(self) -> None:
        self.closed = True
        self._wires.changes += 1

    def accept(self) -> None:
        """The node at this end takes the connection in."""
        if not self.closed:
            self.link = self.plug.peers.accept()
            self.link.connected(self, f"n{self.far.node}")


class Plug:
    """Where the wires of one node life are plugged in: the `Driver` of its links."""

    def __init__(self, wires: Wires, node: int, runtime: NodeRuntime, log: WireLog) -> None:
        self.node = node
        self.runtime = runtime
        self.log = log
        self.peers: Peers
        self._wires = wires

    def nonce(self) -> bytes:
        return self.runtime.rng.randbytes(NONCE_BYTES)

    def connect(self, node: int, link: Link) -> None:
        delay_s = 2 * self._wires.network.latency_s()
        self.runtime.call_later(delay_s, self._connected, node, link)

    def _connected(self, node: int, link: Link) -> None:
        wire = self._wires.lay(self, node, link)
        if wire is None:
            link.lost(ConnectionRefusedError("nobody could be reached there"))
        else:
            link.connected(wire, f"n{node}")

    def gone(self, _link: Link) -> None:
        """Nobody waits for it: nodes do not close their links one by one."""

    def unforeseen(self, _what: str, error: Exception) -> None:
        raise error


class Wires:
    """All wires of the cluster. `changes` counts what may change who is connected to whom."""

    def __init__(self, network: Network, rng: random.Random, trace: Trace, nodes: int) -> None:
        self.network = network
        self.rng = rng
        self.changes = 0
        self._trace = trace
        self._plugs: list[Plug | None] = [None] * nodes
        self._between: dict[tuple[int, int], list[Wire]] = {}
        """By the two nodes, the ends of each wire between them that its dialer holds."""

    def attach(self, node: int, runtime: NodeRuntime) -> Plug:
        """The driver of the links of `node` for the life that `runtime` stands for."""
        self.changes += 1
        plug = Plug(self, node, runtime, WireLog(self._trace, node))
        self._plugs[node] = plug
        return plug

    def detach(self, node: int) -> None:
        """`node` is gone; its peers will hear of it."""
        self.changes += 1
        self._plugs[node] = None
        for peer in range(len(self._plugs)):
            self.break_link(node, peer)

    def whole(self) -> bool:
        """True if every node is connected to each other one that is up, and knows which are."""
        plugs = self._plugs
        up = [plug for plug in plugs if plug is not None]
        for node, plug in enumerate(plugs):
            if plug is None:
                if any(other.peers.is_up(node) for other in up):
                    return False
            elif not all(self._connects(node, other.node) for other in up if other.node > node):
                return False
        return True

    def _connects(self, a: int, b: int) -> bool:
        """True if the nodes `a` and `b`, `a` being smaller, have a link that works."""
        for wire in self._between.get((a, b), ()):
            if wire.open and self.network.connects(a, b):
                return True
        return False

    def lay(self, plug: Plug, target: int, link: Link) -> Wire | None:
        """The near end of a new wire from `plug` to node `target`; None if there can be none."""
        other = self._plugs[target]
        self.changes += 1
        if other is None or not self.network.connects(plug.node, target):
            self._trace.note(f"n{plug.node} cannot reach n{target}")
            return None
        near, far = Wire(self, plug, link), Wire(self, other, None)
        near.far, far.far = far, near
        self._between.setdefault(_pair(plug.node, target), []).append(near)
        other.runtime.call_soon(far.accept)
        return near

    def forget(self, wire: Wire) -> None:
        """One end of `wire` is closed."""
        between = self._between[_pair(wire.node, wire.far.node)]
        between.remove(wire if wire in between else wire.far)

    def break_link(self, a: int, b: int) -> bool:
        """End the connections between two nodes; each hears of it in its own time."""
        broken = self._between.pop(_pair(a, b), None)
        if not broken:
            return False
        self.changes += 1
        for near in broken:
            for end in (near, near.far):
                end.break_soon(self.rng.uniform(0, _HEARD_S_MAX))
        return True

    def block(self, source: int, target: int) -> None:
        self.changes += 1
        self.network.block(source, target)

    def unblock(self, source: int, target: int) -> None:
        self.changes += 1
        self.network.unblock(source, target)

    def note_frame(self, wire: Wire, data: bytes) -> None:
        """`data` has come to the end `wire`."""
        trace = self._trace
        trace.note(f"n{wire.far.node} > n{wire.node} {xxh3_64_hexdigest(data)}")
        if trace.shown and wire.open and not data.startswith(PIECE_MARK, HEADER_BYTES):
            for message in decode_batch(split_frame(data)[1]):
                trace.show(f"         {message}")


def _pair(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)


def _as_it_may_come_again(frame: bytes) -> bytes:
    epoch, payload = split_frame(frame)
    messages: list[Message] = [m for m in decode_batch(payload) if not isinstance(m, Forward)]
    return encode_frame(epoch, encode_batch(messages))
