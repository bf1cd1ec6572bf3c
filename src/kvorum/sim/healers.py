"""Healers: what brings the copies of a key together again, and which of them run.

    hints          hand over what an owner missed while it was away
    read repair    hands over what a read found to be missing
    anti-entropy   compares what owners hold, and hands over what differs

Where all of them run each covers up for the others' mistakes. So in some runs the world leaves
some out, and those that are left have to carry the load alone:

    hints          of the node that is built the replay is stopped before it starts
    read repair    its messages, and only these wait for no reply, are not delivered
    anti-entropy   what nodes ask to compare is not delivered between some pairs of nodes, or
                   any, until `wake` is called: the cluster heals entirely in the end

The nodes' own code does not know of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvorum.links.peers import Peers
from kvorum.wire.messages import Compare, Inventory, Message, Write


@dataclass(frozen=True, slots=True)
class Healers:
    """Which healers run."""

    hints: bool = True
    read_repair: bool = True
    uncompared: frozenset[tuple[int, int]] = frozenset()
    """The pairs of nodes, the smaller number first, between which anti-entropy sleeps at first."""


class Healing:
    """The healers of a cluster in a run. `anti_entropy_sleeps`: between some nodes."""

    def __init__(self, healers: Healers) -> None:
        self.healers = healers
        self.anti_entropy_sleeps = bool(healers.uncompared)

    def wake(self) -> None:
        """Have anti-entropy run between all nodes from now on."""
        self.anti_entropy_sleeps = False

    def transport(self, node: int, peers: Peers) -> Peers | HealersTransport:
        """What the node with this number sends its messages by."""
        healers = self.healers
        if healers.read_repair and not healers.uncompared:
            return peers
        return HealersTransport(self, node, peers)

    def compares(self, a: int, b: int) -> bool:
        """True if anti-entropy runs between the nodes `a` and `b`."""
        return not self.anti_entropy_sleeps or (min(a, b), max(a, b)) not in self.healers.uncompared


class HealersTransport:
    """The `Transport` of a node some of whose healers are left out."""

    def __init__(self, healing: Healing, node: int, peers: Peers) -> None:
        self._healing = healing
        self._node = node
        self._peers = peers
        self.is_up = peers.is_up

    def send(self, node: int, message: Message) -> None:
        if not self._is_left_out(node, message):
            self._peers.send(node, message)

    def _is_left_out(self, node: int, message: Message) -> bool:
        if isinstance(message, Compare | Inventory):
            return not self._healing.compares(self._node, node)
        is_read_repair = isinstance(message, Write) and not message.op
        return is_read_repair and not self._healing.healers.read_repair
