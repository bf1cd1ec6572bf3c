"""What the tests of links stand on: nodes in memory, whose bytes move only when a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from kit.runtime import Pump
from kvorum.links.limits import LinksLimits
from kvorum.links.link import Link
from kvorum.links.peers import Peers
from kvorum.links.views import Views
from kvorum.model.certified_name import CertifiedName
from kvorum.model.topology import NodeSpec, Topology
from kvorum.wire.handshake import NONCE_BYTES
from kvorum.wire.messages import Message, Wrote


def topology(nodes: int = 2, **changes: Any) -> Topology:
    """`nodes`, n0 and so on, of one cluster; `changes` to anything else of it."""
    specs = tuple(
        NodeSpec(name=f"n{i}", http=f"127.0.0.1:{i + 1}", peer=f"127.0.0.1:{i + 1001}")
        for i in range(nodes)
    )
    return Topology(**{"cluster": "test", "nodes": specs, **changes})


def ops(numbers: Sequence[int]) -> list[Message]:
    return [Wrote(number) for number in numbers]


class End:
    """One end of a connection in memory; what the other wrote waits in `arriving`."""

    far: End

    def __init__(self, name: str, link: Link) -> None:
        self.name = name
        self.link = link
        self.arriving = b""
        self.over = False
        """The other end has closed: nothing follows what is arriving."""
        self.closed = False
        self.unsent = 0
        self.certified: CertifiedName | None = None

    def write(self, data: bytes, /) -> None:
        if not self.closed:
            self.far.arriving += data

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.far.over = True
            self.link.lost(None)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, _name: str, /) -> CertifiedName | None:
        return self.certified

    def take(self, size: int) -> bool:
        """Hand the next `size` bytes to the link, or the end of them; False if there is neither."""
        if self.closed:
            return False
        if self.arriving:
            data, self.arriving = self.arriving[:size], self.arriving[size:]
            self.link.received(data)
            return True
        if self.over:
            self.over = False
            self.link.ended()
            return True
        return False


class Log:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def debug(self, text: str, /, *args: object) -> None:
        """Not looked at."""

    def info(self, text: str, /, *args: object) -> None:
        """Not looked at."""

    def warning(self, text: str, /, *args: object) -> None:
        self.warnings.append(text % args)


@dataclass(frozen=True)
class Identity:
    node_id: str
    incarnation: int = 1


@dataclass
class Node:
    """A receiver that writes down what it hears, and the driver of its own links."""

    number: int
    world: InMemory
    runtime: Pump
    log: Log = field(default_factory=Log)
    heard: list[tuple[str, int]] = field(default_factory=list)
    received: list[tuple[int, Message]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    peers: Peers = field(init=False)

    def on_message(self, node: int, message: Message) -> None:
        self.received.append((node, message))

    def on_peer_up(self, node: int) -> None:
        self.heard.append(("up", node))

    def on_peer_lost(self, node: int) -> None:
        self.heard.append(("lost", node))

    def send(self, node: int, messages: list[Message]) -> None:
        for message in messages:
            self.peers.send(node, message)

    def messages(self) -> list[Message]:
        return [message for _, message in self.received]

    # Driver

    def nonce(self) -> bytes:
        return self.runtime.rng.randbytes(NONCE_BYTES)

    def connect(self, node: int, link: Link) -> None:
        self.world.dials.append((self.number, node, link))

    def gone(self, _link: Link) -> None:
        """Not waited for."""

    def unforeseen(self, _what: str, error: Exception) -> None:
        self.faults.append(error)


class InMemory:
    """Nodes and the connections between them."""

    def __init__(self) -> None:
        self.runtime = Pump()
        self.nodes: dict[int, Node] = {}
        self.dials: list[tuple[int, int, Link]] = []
        """Attempts to connect that are under way: from, to, and the link they are for."""
        self.ends: list[End] = []

    def start(
        self,
        number: int,
        its_topology: Topology,
        *,
        limits: LinksLimits | None = None,
        views: Views | None = None,
    ) -> Node:
        node = self.nodes[number] = Node(number, self, self.runtime)
        identity = Identity(f"{number:011x}".ljust(32, "0"))
        node.peers = Peers(its_topology, number, identity, node, _unheard, limits, views)
        node.peers.receiver = node
        return node

    def make(self, dial: int = 0) -> None:
        """Let an attempt that is under way lead to a connection."""
        source, target, link = self.dials.pop(dial)
        near = End(f"{source}>{target}", link)
        far = End(f"{target}<{source}", self.nodes[target].peers.accept())
        near.far, far.far = far, near
        self.ends += [near, far]
        far.link.connected(far, f"n{source}")
        link.connected(near, f"n{target}")

    def settle(self) -> None:
        """Let everything happen that is on its way, until nothing is."""
        while self.runtime.turn() or self.dials or any(end.take(1 << 20) for end in self.ends):
            while self.dials:
                self.make()

    def connections(self) -> int:
        """How many are open at both ends."""
        return sum(not end.closed and not end.far.closed for end in self.ends) // 2


def _unheard(*_identity: object) -> None:
    """Nobody wants to know."""
