"""Simulated links: which nodes are connected, and what each of them knows of it.

A connection has two ends, and they do not learn of its beginning and end at the same time:

    A: connect --- open ------------------------ lost ... retry
    B:              `-- open --------- lost
                                  ^ break: what A sends from here on goes nowhere;
                                    what B has sent still arrives until A has heard

A message belongs to the connection it was sent on and is dropped at an end that no longer
(or not yet) has that connection. Messages for a node that is not connected wait for the
attempt under way, and are lost with it. After a loss a node tries again, with backoff,
until it succeeds.

A message that is too long for a frame goes in pieces, as on a real link: short ones overtake it.

A duplicated batch comes without its `Forward`s: to coordinate a client's request twice is
to write twice. All other messages have to be idempotent.
"""

from __future__ import annotations

import random

from xxhash import xxh3_64_hexdigest

from kvorum.net.transport import Receiver
from kvorum.sim.network import Network
from kvorum.sim.scheduler import NodeRuntime
from kvorum.sim.trace import Trace
from kvorum.wire.frames import FRAME_BYTES_MAX
from kvorum.wire.messages import Forward, Message, decode_batch, encode_batch, pack
from kvorum.wire.pieces import Assembly, encode_pieces

_PAUSE_S_MIN = 0.01
_PAUSE_S_MAX = 0.5
_HEARD_S_MAX = 0.05


class Connection:
    __slots__ = ("broken",)

    def __init__(self) -> None:
        self.broken = False


class _End:
    """What one node knows of its link to one peer."""

    __slots__ = (
        "connection",
        "dialing",
        "failed",
        "outbox",
        "pause_s",
        "peer",
        "told_lost",
    )

    def __init__(self, peer: int) -> None:
        self.peer = peer
        self.connection: Connection | None = None
        self.dialing = False
        self.failed = False
        self.told_lost = False
        self.pause_s = _PAUSE_S_MIN
        self.outbox: list[Message] = []


class Links:
    """All connections of the cluster."""

    __slots__ = (
        "_connections",
        "_frame_bytes_max",
        "_trace",
        "_transports",
        "changes",
        "network",
        "rng",
    )

    def __init__(
        self,
        network: Network,
        rng: random.Random,
        trace: Trace,
        nodes: int,
        frame_bytes_max: int = FRAME_BYTES_MAX,
    ) -> None:
        self._frame_bytes_max = frame_bytes_max
        self.network = network
        self.rng = rng
        self.changes = 0
        self._trace = trace
        self._transports: list[LinkTransport | None] = [None] * nodes
        self._connections: dict[tuple[int, int], Connection] = {}

    def attach(self, node: int, runtime: NodeRuntime) -> LinkTransport:
        """The transport of `node` for the life that `runtime` stands for."""
        self.changes += 1
        transport = LinkTransport(self, node, runtime, len(self._transports))
        self._transports[node] = transport
        return transport

    def detach(self, node: int) -> None:
        """`node` is gone; its peers will hear of it."""
        self.changes += 1
        self._transports[node] = None
        for peer in range(len(self._transports)):
            self.break_link(node, peer)

    def transport(self, node: int) -> LinkTransport | None:
        return self._transports[node]

    def whole(self) -> bool:
        """True if every node is connected to each other one that is up, and knows which are."""
        up = [transport for transport in self._transports if transport is not None]
        return all(transport.knows_of(self._transports) for transport in up)

    def connect(self, source: int, target: int) -> Connection | None:
        """The connection between two nodes, new if need be; None if it cannot be had."""
        pair = (min(source, target), max(source, target))
        connection = self._connections.get(pair)
        if connection is not None:
            return connection
        peer = self._transports[target]
        if peer is None or not self.network.connects(source, target):
            return None
        connection = self._connections[pair] = Connection()
        peer.runtime.call_soon(peer.on_open, source, connection)
        return connection

    def break_link(self, a: int, b: int) -> bool:
        """End the connection between two nodes; each hears of it in its own time."""
        connection = self._connections.pop((min(a, b), max(a, b)), None)
        if connection is None:
            return False
        self.changes += 1
        connection.broken = True
        for node, peer in ((a, b), (b, a)):
            transport = self._transports[node]
            if transport is not None:
                delay_s = self.rng.uniform(0, _HEARD_S_MAX)
                transport.runtime.call_later(delay_s, transport.on_lost, peer, connection)
        return True

    def block(self, source: int, target: int) -> None:
        self.changes += 1
        self.network.block(source, target)

    def unblock(self, source: int, target: int) -> None:
        self.changes += 1
        self.network.unblock(source, target)

    def carry(
        self, source: int, target: int, connection: Connection, messages: list[Message]
    ) -> None:
        peer = self._transports[target]
        if peer is None or connection.broken:
            return
        network, data = self.network, encode_batch(messages)
        if len(data) <= self._frame_bytes_max:
            network.carry(source, target, peer.runtime, peer.on_batch, connection, data)
        else:
            packed = pack(messages, self._frame_bytes_max)
            for batch, _count in packed.batches:
                network.carry(source, target, peer.runtime, peer.on_batch, connection, batch)
            for whole in packed.wholes:
                network.carry_long(source, target, peer.runtime, peer.on_whole, connection, whole)
        if network.duplicates():
            again = encode_batch([m for m in messages if not isinstance(m, Forward)])
            network.carry_again(source, peer.runtime, peer.on_batch, connection, again)

    def note(self, event: str) -> None:
        self._trace.note(event)

    def note_batch(self, source: int, target: int, data: bytes, messages: list[Message]) -> None:
        self._trace.note(f"n{source} > n{target} {xxh3_64_hexdigest(data)}")
        if self._trace.shown:
            for message in messages:
                self._trace.show(f"         {message}")


class LinkTransport:
    """The `Transport` of one node life."""

    __slots__ = ("_ends", "_links", "node", "receiver", "runtime")

    def __init__(self, links: Links, node: int, runtime: NodeRuntime, nodes: int) -> None:
        self.node = node
        self.runtime = runtime
        self.receiver: Receiver
        self._links = links
        self._ends = [_End(peer) for peer in range(nodes)]

    # The Transport port

    def send(self, node: int, message: Message) -> None:
        if node == self.node:
            raise ValueError(f"wanted another node to send to, n{node} sent itself {message}")
        end = self._ends[node]
        if end.connection is None:
            self._dial(end, 0.0)
        elif not end.outbox:
            self.runtime.call_soon(self._flush, end)
        end.outbox.append(message)

    def is_up(self, node: int) -> bool:
        return not self._ends[node].failed

    def knows_of(self, transports: list[LinkTransport | None]) -> bool:
        """True if this node is connected to those of `transports` that exist, and knows the rest
        to be down.
        """
        return all(
            end.failed if transport is None else self._hears(end)
            for end, transport in zip(self._ends, transports, strict=True)
            if end.peer != self.node
        )

    def _hears(self, end: _End) -> bool:
        connection = end.connection
        return (
            connection is not None
            and not connection.broken
            and self._links.network.connects(self.node, end.peer)
        )

    # Connecting

    def _dial(self, end: _End, pause_s: float) -> None:
        """Connect after a pause, unless an attempt is under way or planned."""
        if not end.dialing:
            end.dialing = True
            handshake_s = 2 * self._links.network.latency_s()
            self.runtime.call_later(pause_s + handshake_s, self._dialed, end)

    def _dialed(self, end: _End) -> None:
        end.dialing = False
        if end.connection is not None:
            return
        connection = self._links.connect(self.node, end.peer)
        if connection is not None:
            self._open(end, connection)
        else:
            self._links.note(f"n{self.node} cannot reach n{end.peer}")
            self._links.changes += 1
            end.failed = True
            if end.outbox or not end.told_lost:
                self._tell_lost(end)
            self._retry(end)

    def on_open(self, peer: int, connection: Connection) -> None:
        """`peer` has opened a connection to this node."""
        end = self._ends[peer]
        if end.connection is connection or connection.broken:
            return
        if end.connection is not None:
            # The old connection must have broken, though this end has not heard it yet.
            self.on_lost(peer, end.connection)
        self._open(end, connection)

    def _open(self, end: _End, connection: Connection) -> None:
        self._links.note(f"n{self.node} up n{end.peer}")
        self._links.changes += 1
        end.connection = connection
        end.failed = end.told_lost = False
        end.pause_s = _PAUSE_S_MIN
        if end.outbox:
            self.runtime.call_soon(self._flush, end)
        self.receiver.on_peer_up(end.peer)

    def on_lost(self, peer: int, connection: Connection) -> None:
        """`connection` has broken; nothing to do if this end has another one by now."""
        end = self._ends[peer]
        if end.connection is connection:
            self._links.note(f"n{self.node} lost n{peer}")
            self._links.changes += 1
            end.connection = None
            self._tell_lost(end)
            self._retry(end)

    def _tell_lost(self, end: _End) -> None:
        end.outbox.clear()
        end.told_lost = True
        self.receiver.on_peer_lost(end.peer)

    def _retry(self, end: _End) -> None:
        pause_s = end.pause_s * self._links.rng.uniform(0.5, 1.0)
        end.pause_s = min(2 * end.pause_s, _PAUSE_S_MAX)
        self._dial(end, pause_s)

    # Batches

    def _flush(self, end: _End) -> None:
        if end.connection is not None and end.outbox:
            messages, end.outbox = end.outbox, []
            self._links.carry(self.node, end.peer, end.connection, messages)

    def on_whole(self, peer: int, connection: object, data: bytes) -> None:
        assembly = Assembly()
        for piece in encode_pieces(data):
            whole = assembly.add(piece)
            if whole is not None:
                self.on_batch(peer, connection, bytes(whole))

    def on_batch(self, peer: int, connection: object, data: bytes) -> None:
        if self._ends[peer].connection is not connection:
            return
        messages = decode_batch(data)
        self._links.note_batch(peer, self.node, data, messages)
        on_message = self.receiver.on_message
        for message in messages:
            on_message(peer, message)
