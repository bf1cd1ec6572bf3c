"""The peers of a node: `Transport` over TCP.

Two nodes keep one link between them, for requests and replies of both. Order is kept on a
link only, and a message on its way is lost with it; if a second link could take over in
silence, messages might overtake each other or vanish without an `on_peer_lost`. So each
side holds one place per peer, for the link that is open or on its way to be:

    a dialed link connects      takes the place if it is free, else gives way
    a Hello on an accepted one  takes the place if it is free. If a dialed link is greeting
                                there, both nodes have dialed at once and the link dialed by
                                the smaller number stays. An open link is never displaced:
                                where the other side knows it to be dead, this side soon will.

Links are made when the first message wants one, and made again, with growing pauses, for as
long as this node runs. Messages wait meanwhile, within bounds; an attempt that fails drops
them and says `on_peer_lost`, so that whoever waits for a reply need not sit out its deadline.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from kvorum.model.address import parse_address
from kvorum.model.topology import NodeSpec, Topology
from kvorum.net.dialer import Dialer, DialLimits
from kvorum.net.link import UNKNOWN, Link, LinkLimits
from kvorum.net.listener import Listener
from kvorum.net.notices import Notices
from kvorum.net.traffic import Traffic
from kvorum.net.transport import Receiver
from kvorum.runtime.loop import LoopRuntime
from kvorum.wire.handshake import (
    ACTOR_HEX_DIGITS,
    PROTOCOL,
    Crossed,
    Hello,
    Verdict,
    Welcome,
    objection,
    reject,
    same_actors,
)
from kvorum.wire.messages import Message, encode_batch

OnIdentity = Callable[[int, str, str], object]
"""Called with (node, node id, name) when a node shows an id not seen from it before."""

_log = logging.getLogger(__name__)


class Identity(Protocol):
    """What the network tells others of this node's stored identity."""

    @property
    def node_id(self) -> str: ...

    @property
    def incarnation(self) -> int: ...


@dataclass(frozen=True, slots=True)
class NetLimits:
    """`waiting_*_max` bound what may wait for one node while it has no link; one message may go
    over the bytes, however long it is.
    """

    greeting_max: int = 64
    waiting_messages_max: int = 8192
    waiting_bytes_max: int = 16 << 20
    link: LinkLimits = field(default_factory=LinkLimits)
    dial: DialLimits = field(default_factory=DialLimits)


class Peer:
    """Another node: its place for a link, what is known of it, and what waits for it."""

    __slots__ = (
        "dialer",
        "down_told",
        "link",
        "name",
        "node",
        "node_id",
        "reachable",
        "waiting",
        "waiting_bytes",
        "wanted",
    )

    def __init__(self, node: int, name: str, dialer: Dialer) -> None:
        self.node = node
        self.name = name
        self.dialer = dialer
        self.link: Link | None = None
        self.node_id = ""
        self.reachable = True
        self.wanted = False
        self.down_told = False
        self.waiting: list[Message] = []
        self.waiting_bytes = 0

    @property
    def linked(self) -> bool:
        return self.link is not None and self.link.opened

    def take_waiting(self) -> list[Message]:
        waiting = self.waiting
        self.waiting = []
        self.waiting_bytes = 0
        return waiting


class PeerNetwork:
    """`Transport` and `LinkOwner`. `local` is this node's number."""

    def __init__(
        self,
        topology: Topology,
        local: int,
        identity: Identity,
        runtime: LoopRuntime,
        on_identity: OnIdentity,
        limits: NetLimits | None = None,
    ) -> None:
        self._limits = limits or NetLimits()
        self._local = local
        self._spec = topology.node(local)
        self._on_identity = on_identity
        self.runtime = runtime
        self.traffic = Traffic()
        self.link_limits = self._limits.link
        self.secret = topology.secret
        self.hello = Hello(
            PROTOCOL,
            topology.cluster,
            topology.fingerprint(),
            topology.epoch,
            self._spec.name,
            identity.node_id,
            identity.incarnation,
        )
        self._peers = {
            spec.number: self._peer(spec.number, spec)
            for spec in topology.nodes
            if spec.number != local
        }
        self._by_name = {peer.name: peer for peer in self._peers.values()}
        self._send: dict[int, Callable[[Message], None]] = {
            node: self._holder(peer) for node, peer in self._peers.items()
        }
        self._links: set[Link] = set()
        self._links_gone = asyncio.Event()
        self._closing = False
        self._notices = Notices(_log)
        self._listener = Listener(lambda: Link(self, UNKNOWN), self._limits.greeting_max)
        self.receiver: Receiver

    def _peer(self, node: int, spec: NodeSpec) -> Peer:
        dialer = Dialer(
            self.runtime, parse_address(spec.peer), lambda: Link(self, node), self._limits.dial
        )
        return Peer(node, spec.name, dialer)

    # Transport

    def send(self, node: int, message: Message) -> None:
        self._send[node](message)

    def is_up(self, node: int) -> bool:
        return self._peers[node].reachable

    def _holder(self, peer: Peer) -> Callable[[Message], None]:
        """What sends to `peer` while it has no link."""

        def hold(message: Message) -> None:
            self._hold(peer, message)

        return hold

    def _hold(self, peer: Peer, message: Message) -> None:
        size = len(encode_batch([message]))
        limits = self._limits
        if (
            self._closing
            or len(peer.waiting) >= limits.waiting_messages_max
            or peer.waiting_bytes >= limits.waiting_bytes_max
        ):
            self.traffic.messages_dropped += 1
            return
        peer.waiting.append(message)
        peer.waiting_bytes += size
        peer.wanted = True
        if peer.link is None:
            peer.dialer.dial()

    # Start and stop

    async def start(self, receiver: Receiver) -> None:
        """Hand all that arrives to `receiver`, and listen. Raises ConfigError if that fails.

        Until then nothing may be sent.
        """
        self.receiver = receiver
        if self._spec.peer:
            await self._listener.start(parse_address(self._spec.peer))

    async def close(self) -> None:
        """Write what waits on open links and close all. The receiver hears nothing of it."""
        self._closing = True
        self._listener.stop()
        for peer in self._peers.values():
            await peer.dialer.close()
        for link in list(self._links):
            link.close("this node stops")
        while self._links:
            self._links_gone.clear()
            await self._links_gone.wait()

    # LinkOwner

    def link_made(self, link: Link) -> None:
        self._links.add(link)
        if self._closing:
            link.fail("this node stops")
        elif link.dialed:
            peer = self._peers[link.node]
            if peer.link is None:
                peer.link = link
            else:
                link.give_way()
        elif not self._listener.admit(link):
            link.fail(f"wanted at most {self._limits.greeting_max} connections in their handshake")

    def link_greeted(self, link: Link, hello: Hello) -> Verdict:
        reason = objection(self.hello, hello) or self._objection(link, hello)
        if reason is not None:
            self.traffic.links_refused += 1
            return reject(reason)
        peer = self._by_name[hello.node]
        if not link.dialed:
            if peer.link is not None and not self._yields(peer, peer.link):
                return Crossed()
            peer.link = link
            link.node = peer.node
        if peer.node_id != hello.node_id:
            peer.node_id = hello.node_id
            self._on_identity(peer.node, peer.node_id, peer.name)
        return Welcome()

    def _objection(self, link: Link, hello: Hello) -> str | None:
        """What speaks against `hello` in the light of what is known of the other nodes."""
        peer = self._by_name.get(hello.node)
        if peer is None:
            names = ", ".join(self._by_name)
            return f"wanted one of the nodes {names}, got {hello.node!r}; correct --node"
        if link.dialed and peer.node != link.node:
            name = self._peers[link.node].name
            return f"wanted node {name!r} at its address, got {hello.node!r}; correct the addresses"
        if peer.linked and peer.node_id != hello.node_id:
            return (
                f"wanted {hello.node!r} with node id {peer.node_id}, which is connected, got "
                f"{hello.node_id}; stop one of the two processes"
            )
        for other in self._peers.values():
            if other is not peer and same_actors(other.node_id, hello.node_id):
                return (
                    f"wanted node ids that differ in their first {ACTOR_HEX_DIGITS} digits, got "
                    f"{hello.node_id} for {hello.node!r} and {other.node_id} for {other.name!r}; "
                    "never start two nodes from copies of one data directory"
                )
        return None

    def _yields(self, peer: Peer, placed: Link) -> bool:
        """True if `placed` gave its place to a link that `peer` has dialed and greets on."""
        if peer.linked or (placed.dialed and self._local < peer.node):
            return False
        placed.give_way()
        return True

    def link_opened(self, link: Link) -> None:
        peer = self._peers[link.node]
        hello = link.hello
        assert hello is not None
        self._listener.settled(link)
        self._notices.over(peer.name)
        self.traffic.links_opened += 1
        peer.dialer.rest()
        peer.reachable = True
        peer.down_told = False
        _log.info("link to %s open, incarnation %d", peer.name, hello.incarnation)
        for message in peer.take_waiting():
            link.send(message)
        self._send[peer.node] = link.send
        self.receiver.on_peer_up(peer.node)

    def link_lost(self, link: Link, reason: str) -> None:
        self._links.discard(link)
        self._links_gone.set()
        self._listener.settled(link)
        if self._closing:
            return
        if not link.dialed and not link.opened:
            self._refused(link, reason)
        if link.node == UNKNOWN:
            return
        peer = self._peers[link.node]
        if peer.link is link:
            peer.link = None
        if peer.wanted and peer.link is None:
            if link.age() > self._limits.dial.pause_max_s:
                peer.dialer.forget_failures()
            peer.dialer.dial_later()
        if link.opened:
            self._open_link_lost(peer, reason)
        elif link.dialed and not link.gave_way and peer.link is None:
            self._attempt_failed(peer, reason)

    def _refused(self, link: Link, reason: str) -> None:
        """An accepted link is gone before it opened."""
        who = link.remote
        if link.hello is not None and link.hello.node in self._by_name:
            who = link.hello.node
        if link.heard and not link.gave_way and not link.left:
            self._notices.say(who, f"closed a connection from {who}: {reason}")
        else:
            _log.debug("closed a connection from %s: %s", who, reason)

    def _open_link_lost(self, peer: Peer, reason: str) -> None:
        _log.warning("lost the link to %s: %s", peer.name, reason)
        self.traffic.links_lost += 1
        self._send[peer.node] = self._holder(peer)
        peer.down_told = True
        self.receiver.on_peer_lost(peer.node)

    def _attempt_failed(self, peer: Peer, reason: str) -> None:
        self._notices.say(peer.name, f"cannot reach {peer.name}, still trying: {reason}")
        peer.reachable = False
        dropped = peer.take_waiting()
        self.traffic.messages_dropped += len(dropped)
        if dropped or not peer.down_told:
            peer.down_told = True
            self.receiver.on_peer_lost(peer.node)
