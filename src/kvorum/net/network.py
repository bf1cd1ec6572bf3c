"""The network of a node: the links of its peers (`links/peers.py`) over TCP, or TLS over it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Collection
from typing import Final

from kvorum.links.driver import Identity
from kvorum.links.limits import LinksLimits
from kvorum.links.link import Link
from kvorum.links.peers import OnIdentity, Peers
from kvorum.links.transport import Receiver
from kvorum.model.address import parse_address
from kvorum.model.topology import Topology
from kvorum.net.dialer import Dialer
from kvorum.net.listener import Listener
from kvorum.runtime.loop import LoopRuntime
from kvorum.tls.node_tls import NodeTls
from kvorum.wire.handshake import NONCE_BYTES

_LOG: Final = logging.getLogger(__name__)


class PeerNetwork:
    """The sockets and timers under `peers`, which is the node's `Transport`."""

    def __init__(
        self,
        topology: Topology,
        local: int,
        identity: Identity,
        runtime: LoopRuntime,
        on_identity: OnIdentity,
        limits: LinksLimits | None = None,
        tls: NodeTls | None = None,
    ) -> None:
        """`tls`: None where plain text is spoken."""
        limits = limits or LinksLimits()
        self.runtime = runtime
        self.log = _LOG
        self._loop = runtime.loop
        self._address = topology.node(local).peer
        dialing = None if tls is None else tls.dialing_end()
        self._dialers = {
            spec.number: Dialer(
                runtime.loop, parse_address(spec.peer), limits.dial.connect_s, dialing
            )
            for spec in topology.nodes
            if spec.number != local
        }
        self._link_gone = asyncio.Event()
        self.peers = Peers(topology, local, identity, self, on_identity, limits)
        self._listener = Listener(
            self.peers.accept,
            limits.greeting_max,
            limits.link.handshake_s,
            None if tls is None else tls.accepting_end(),
        )

    async def start(self, receiver: Receiver) -> None:
        """Hand all that arrives to `receiver`, and listen. Raises ConfigError if that fails.

        Until then nothing may be sent.
        """
        self.peers.receiver = receiver
        if self._address:
            await self._listener.start(parse_address(self._address))

    async def close(self) -> None:
        """Write what waits on open links and close all. The receiver hears nothing of it."""
        self._listener.stop()
        self.peers.stop()
        for dialer in self._dialers.values():
            await dialer.close()
        self.peers.close_links()
        while self.peers.links:
            self._link_gone.clear()
            await self._link_gone.wait()

    def revoke(self, serials: Collection[str]) -> None:
        """Close the links whose other side has shown a certificate with one of these serial
        numbers, in lower-case hex."""
        for link in list(self.peers.links):
            certified = link.certified
            if certified is not None and certified.serial in serials:
                link.fail(f"the certificate {certified.uri} was revoked")

    # As the driver of `Peers`

    def nonce(self) -> bytes:
        return secrets.token_bytes(NONCE_BYTES)

    def connect(self, node: int, link: Link) -> None:
        self._dialers[node].dial(link)

    def gone(self, _link: Link) -> None:
        self._link_gone.set()

    def unforeseen(self, what: str, error: Exception) -> None:
        self._loop.call_exception_handler({"message": what, "exception": error})
