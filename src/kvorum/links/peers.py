"""The peers of a node: `Transport` over links, whatever carries their bytes.

Two nodes keep one link between them, for requests and replies of both. Order is kept on a link
only, and a message on its way is lost with it; if a second link could take over unnoticed, messages
might overtake each other or vanish without an `on_peer_lost`. So each side has one place for each
other node, for the link that is open or on its way to be:

    a dialed link connects      takes the place if it is free, else gives way
    a Hello on an accepted one  takes the place if it is free. If a dialed link is greeting
                                there, both nodes have dialed at once and the link dialed by
                                the smaller number stays. An open link is never displaced:
                                where the other side knows it to be dead, this side soon will.

Links are made when there is a first message for a node, and made again, with growing pauses, for as
long as this node runs. Messages wait meanwhile, within bounds; an attempt that fails drops them and
calls `on_peer_lost`, so that an operation that waits for a reply need not sit out its deadline.

Anyone can connect to a node. Until its handshake is complete a connection costs this node one
socket and at most one short frame, for `LinkLimits.handshake_s`; there are at most `greeting_max`
of them, and one more is closed at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kvorum.links.admission import greeting, refusal
from kvorum.links.driver import Driver, Identity
from kvorum.links.fence import concerns
from kvorum.links.handshake import Credentials
from kvorum.links.limits import LinksLimits
from kvorum.links.link import UNKNOWN, Link
from kvorum.links.machine import Received, Terms
from kvorum.links.notices import Notices
from kvorum.links.peer import Peer
from kvorum.links.reconnect import Reconnect
from kvorum.links.traffic import Traffic
from kvorum.links.transport import Receiver
from kvorum.links.views import StaticView, Views
from kvorum.links.waiting import Waiting
from kvorum.model.topology import NodeSpec, Topology
from kvorum.runtime.faults import kind
from kvorum.wire.handshake import Crossed, Hello, Verdict, Welcome, reject
from kvorum.wire.messages import Behind, Message, ViewUpdate

OnIdentity = Callable[[int, str, str], object]
"""Called with (node, node id, name) when a node shows an id not seen from it before."""


class Peers:
    """The links of one node to all others: a `Transport`, and the `LinkOwner` of its links."""

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
        """`local`: this node's number. `views`: None where the members never change."""
        self._limits = limits or LinksLimits()
        self._local = local
        self._driver = driver
        self._on_identity = on_identity
        self._views = views or StaticView(topology)
        self.runtime = driver.runtime
        self.log = driver.log
        self.traffic = Traffic()
        self.hello = greeting(topology, local, identity)
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
        """The links that were accepted and have not opened."""
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
        """True while a link to `node` is open."""
        return self._peers[node].linked

    def _hold(self, peer: Peer, message: Message) -> None:
        """The way to send to `peer` while it has no link."""
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
        """The link of a connection that came in."""
        return Link(self, UNKNOWN, self._driver.nonce())

    def stop(self) -> None:
        """Make no more links, and tell the receiver nothing more."""
        self._closing = True
        for peer in self._peers.values():
            peer.reconnect.rest()

    def close_links(self) -> None:
        """Write what waits on open links and close all; the driver is told of each that is gone."""
        for link in list(self.links):
            link.close("this node stops")

    # Epochs

    def advance(self, topology: Topology) -> None:
        """This node has gone on to a later epoch, that of `topology`: tell those behind."""
        self.hello = greeting(topology, self._local, self.hello)
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
        """Messages of another epoch than that of `link`, or one with other owners."""
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
            link.fail(
                f"{self._limits.greeting_max} connections are in their handshake already, and no "
                "more are taken at a time"
            )
        else:
            self._greeting.add(link)

    def link_greeted(self, link: Link, hello: Hello) -> Verdict:
        reason = refusal(self.hello, hello, link, self._peers)
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
