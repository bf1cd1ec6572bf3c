"""The peers of a node: `Transport` over links, whatever carries their bytes.

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

Anyone can connect to a node. Until its handshake is complete a connection costs this node one
socket and at most one short frame, for `LinkLimits.handshake_s`; there are at most `greeting_max`
of them, and one more is closed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from kvorum.links.fence import concerns
from kvorum.links.handshake import Credentials
from kvorum.links.link import UNKNOWN, Link
from kvorum.links.log import Log
from kvorum.links.machine import LinkLimits, Received, Terms
from kvorum.links.notices import Notices
from kvorum.links.reconnect import DialLimits, Reconnect
from kvorum.links.traffic import Traffic
from kvorum.links.transport import Receiver
from kvorum.links.views import StaticView, Views, members_digest
from kvorum.links.waiting import Waiting, WaitingLimits
from kvorum.model.topology import NodeSpec, Topology
from kvorum.runtime.faults import kind
from kvorum.runtime.ports import Runtime
from kvorum.wire.handshake import (
    ACTOR_HEX_DIGITS,
    Crossed,
    Hello,
    Verdict,
    Welcome,
    reject,
    same_actors,
    veto,
)
from kvorum.wire.messages import Behind, Message, ViewUpdate

OnIdentity = Callable[[int, str, str], object]
"""Called with (node, node id, name) when a node shows an id not seen from it before."""


class Identity(Protocol):
    """What links tell others of this node's stored identity."""

    @property
    def node_id(self) -> str: ...

    @property
    def incarnation(self) -> int: ...


class Driver(Protocol):
    """What carries the bytes of links: sockets, or the wires of the simulator."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def log(self) -> Log: ...

    def nonce(self) -> bytes:
        """`NONCE_BYTES` that nobody can foresee and that never come again."""

    def connect(self, node: int, link: Link) -> None:
        """Begin to make a connection to `node`. It ends in `connected` or `lost` of `link`."""

    def gone(self, link: Link) -> None:
        """`link` is lost, and nothing is asked of it any more."""

    def unforeseen(self, what: str, error: Exception) -> None:
        """A bug was met while a message was handled; its link is closed."""


@dataclass(frozen=True, slots=True)
class LinksLimits:
    """`greeting_max`: connections that were accepted and have not said yet who they are. `waiting`:
    what may wait for one node while it has no link.
    """

    greeting_max: int = 64
    waiting: WaitingLimits = field(default_factory=WaitingLimits)
    link: LinkLimits = field(default_factory=LinkLimits)
    dial: DialLimits = field(default_factory=DialLimits)


class Peer:
    """Another node: its place for a link, what is known of it, and what waits for it."""

    __slots__ = (
        "down_told",
        "link",
        "name",
        "node",
        "node_id",
        "reachable",
        "reconnect",
        "waiting",
        "wanted",
    )

    def __init__(self, spec: NodeSpec, reconnect: Reconnect, waiting: Waiting) -> None:
        self.node = spec.number
        self.name = spec.name
        self.reconnect = reconnect
        self.waiting = waiting
        self.link: Link | None = None
        self.node_id = ""
        self.reachable = True
        self.wanted = False
        self.down_told = False

    @property
    def linked(self) -> bool:
        return self.link is not None and self.link.opened


class Peers:
    """`Transport` and `LinkOwner`. `local` is this node's number."""

    def __init__(
        self,
        topology: Topology,
        local: int,
        identity: Identity,
        driver: Driver,
        on_identity: OnIdentity,
        limits: LinksLimits | None = None,
        views: Views | None = None,
    ) -> None:
        """`views`: None where the members are those of `topology` for as long as the node runs."""
        self._limits = limits or LinksLimits()
        self._local = local
        self._driver = driver
        self._on_identity = on_identity
        self._views = views or StaticView(topology)
        self.runtime = driver.runtime
        self.log = driver.log
        self.traffic = Traffic()
        self.hello = _hello(topology, local, identity)
        self.terms = Terms(
            Credentials(self.hello, topology.secret),
            topology.epoch,
            driver.runtime.now,
            self._limits.link,
            self.traffic,
        )
        self._peers = {
            spec.number: self._peer(spec) for spec in topology.nodes if spec.number != local
        }
        self._by_name = {peer.name: peer for peer in self._peers.values()}
        self._send: dict[int, Callable[[Message], None]] = {
            node: partial(self._hold, peer) for node, peer in self._peers.items()
        }
        self._greeting: set[Link] = set()
        """Those that were accepted and have not opened."""
        self._closing = False
        self._notices = Notices(driver.log)
        self.links: set[Link] = set()
        """All that are connected and not lost."""
        self.receiver: Receiver

    def _peer(self, spec: NodeSpec) -> Peer:
        reconnect = Reconnect(self.runtime, partial(self._dial, spec.number), self._limits.dial)
        return Peer(spec, reconnect, Waiting(self._limits.waiting))

    # Transport

    def send(self, node: int, message: Message) -> None:
        self._send[node](message)

    def is_up(self, node: int) -> bool:
        return self._peers[node].reachable

    def is_linked(self, node: int) -> bool:
        """True if a link to `node` is open, as far as this node knows."""
        return self._peers[node].linked

    def _hold(self, peer: Peer, message: Message) -> None:
        """What sends to `peer` while it has no link."""
        if self._closing or not peer.waiting.add(message):
            self.traffic.messages_dropped += 1
            return
        peer.wanted = True
        if peer.link is None:
            peer.reconnect.now()

    def _dial(self, node: int) -> None:
        self._driver.connect(node, Link(self, node, self._driver.nonce()))

    # For the driver

    def accept(self) -> Link:
        """The link of a connection that somebody else has made."""
        return Link(self, UNKNOWN, self._driver.nonce())

    def stop(self) -> None:
        """Make no more links, and tell the receiver nothing more of them."""
        self._closing = True
        for peer in self._peers.values():
            peer.reconnect.rest()

    def close_links(self) -> None:
        """Write what waits on open links and close all; the driver is told of each that is gone."""
        for link in list(self.links):
            link.close("this node stops")

    # Epochs

    def advance(self, topology: Topology) -> None:
        """This node's view has gone on to a later epoch, in which the cluster is as `topology`
        says: tell those that are behind.
        """
        self.hello = _hello(topology, self._local, self.hello)
        self.terms.credentials = Credentials(self.hello, topology.secret)
        self.terms.epoch = topology.epoch
        for peer in self._peers.values():
            if peer.link is not None:
                peer.link.advance(topology.epoch)
            if peer.link is not None and peer.link.opened:
                self._negotiate(peer, peer.link)

    def _negotiate(self, peer: Peer, link: Link) -> None:
        """Of the two epochs that this node and `peer` are at now."""
        views, hello = self._views, link.hello
        assert hello is not None
        changed = views.changed(link.epoch, hello.members)
        link.trusted_epoch = 0 if changed else link.epoch
        if link.epoch < views.epoch:
            document = views.lacking(link.epoch)
            if document is not None:
                link.send_apart(ViewUpdate(views.epoch, document))
        if changed:
            self._notices.say(
                peer.name,
                f"{peer.name} is at epoch {link.epoch} and this node at {views.epoch}, where "
                f"{len(changed.among)} of {hello.partitions} partitions have other owners: "
                "requests about them are refused until both are at one epoch. "
                f"{views.advice}",
            )

    def link_received(self, link: Link, received: Received) -> None:
        """Messages that were made in another epoch than the one that `link` was found to be at, or
        in one whose partitions have other owners.
        """
        if received.epoch > link.epoch:
            self._go_on(link, received.epoch)
        hello = link.hello
        assert hello is not None
        changed = self._views.changed(received.epoch, hello.members)
        for message in received.messages:
            if not concerns(message, changed):
                self.receiver.on_message(link.node, message)
            elif (op := getattr(message, "op", None)) is not None:
                link.send(Behind(op, self._views.epoch))

    def link_updated(self, link: Link, update: ViewUpdate) -> None:
        self._views.on_update(link.node, update)
        if update.epoch > link.epoch:
            self._go_on(link, update.epoch)

    def _go_on(self, link: Link, epoch: int) -> None:
        """The other side of `link` is at `epoch`."""
        link.epoch = epoch
        self._views.on_epoch(link.node, epoch)
        self._negotiate(self._peers[link.node], link)

    # LinkOwner

    def link_made(self, link: Link) -> None:
        self.links.add(link)
        if self._closing:
            link.fail("this node stops")
        elif link.dialed:
            peer = self._peers[link.node]
            peer.reconnect.ended()
            if peer.link is None:
                peer.link = link
            else:
                link.give_way()
        elif len(self._greeting) >= self._limits.greeting_max:
            link.fail(f"wanted at most {self._limits.greeting_max} connections in their handshake")
        else:
            self._greeting.add(link)

    def link_greeted(self, link: Link, hello: Hello) -> Verdict:
        reason = veto(self.hello, hello) or self._veto(link, hello)
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

    def _veto(self, link: Link, hello: Hello) -> str | None:
        """What speaks against `hello` in the light of what is known of the other nodes."""
        peer = self._by_name.get(hello.node)
        if peer is None:
            names = ", ".join(self._by_name)
            return f"wanted one of the nodes {names}, got {hello.node!r}; correct --node"
        if link.dialed and peer.node != link.node:
            name = self._peers[link.node].name
            return f"wanted node {name!r} at its address, got {hello.node!r}; correct the addresses"
        if peer.node != hello.number:
            return (
                f"wanted {hello.node!r} with number {peer.node}, got number {hello.number}; give "
                "both nodes the same cluster file"
            )
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
        self._greeting.discard(link)
        self._notices.over(peer.name)
        self.traffic.links_opened += 1
        peer.reconnect.rest()
        peer.reachable = True
        peer.down_told = False
        self.log.info("link to %s open, incarnation %d", peer.name, hello.incarnation)
        self._go_on(link, hello.epoch)
        for message in peer.waiting.take():
            link.send(message)
        self._send[peer.node] = link.send
        self.receiver.on_peer_up(peer.node)

    def link_faulted(self, link: Link, error: Exception) -> None:
        what = f"failed to handle what node {link.node} at {link.remote} sent"
        self._driver.unforeseen(what, error)
        link.fail(f"this node failed to handle a message: {kind(error)}")

    def link_lost(self, link: Link, reason: str) -> None:
        if link.dialed and link not in self.links:
            self._peers[link.node].reconnect.ended()
        self.links.discard(link)
        self._greeting.discard(link)
        if not self._closing:
            self._forget(link, reason)
        self._driver.gone(link)

    def _forget(self, link: Link, reason: str) -> None:
        if not link.dialed and not link.opened:
            self._refused(link, reason)
        if link.node == UNKNOWN:
            return
        peer = self._peers[link.node]
        if peer.link is link:
            peer.link = None
        if peer.wanted and peer.link is None:
            if link.age() > self._limits.dial.pause_max_s:
                peer.reconnect.forget_failures()
            peer.reconnect.later()
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
            self.log.debug("closed a connection from %s: %s", who, reason)

    def _open_link_lost(self, peer: Peer, reason: str) -> None:
        self.log.warning("lost the link to %s: %s", peer.name, reason)
        self.traffic.links_lost += 1
        self._send[peer.node] = partial(self._hold, peer)
        peer.down_told = True
        self.receiver.on_peer_lost(peer.node)

    def _attempt_failed(self, peer: Peer, reason: str) -> None:
        self._notices.say(peer.name, f"cannot reach {peer.name}, still trying: {reason}")
        peer.reachable = False
        dropped = peer.waiting.take()
        self.traffic.messages_dropped += len(dropped)
        if dropped or not peer.down_told:
            peer.down_told = True
            self.receiver.on_peer_lost(peer.node)


def _hello(topology: Topology, local: int, identity: Identity) -> Hello:
    return Hello(
        cluster=topology.cluster,
        token_hash=topology.token_hash,
        token_seed=topology.token_seed,
        partitions=topology.partitions,
        epoch=topology.epoch,
        fingerprint=topology.fingerprint(),
        members=members_digest(topology),
        node=topology.node(local).name,
        number=local,
        node_id=identity.node_id,
        incarnation=identity.incarnation,
    )
