"""What a node knows of one other node, and the messages that wait for it."""

from __future__ import annotations

from kvorum.links.link import Link
from kvorum.links.reconnect import Reconnect
from kvorum.links.waiting import Waiting
from kvorum.model.topology import NodeSpec


class Peer:
    """Another node, as its links show it.

    `link`: the one that is open or on its way to be; None while there is none. `node_id`: the last
    one that it greeted with. `reachable`: the last attempt to reach it did not fail. `wanted`: a
    message has been sent to it, so its link is made again when it is lost. `down_told`: the
    receiver has heard `on_peer_lost` since the link was last open.
    """

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
        """True while a link to the node is open, as far as this node knows."""
        return self.link is not None and self.link.opened
