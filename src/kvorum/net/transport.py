"""The Transport port: messages between the nodes of one topology, best effort.

Nodes are named by their index in `Topology.nodes`. A message may be lost when a link
breaks; then both ends hear `on_peer_lost`. On one link order is kept, and nothing is
delivered twice. `send` never raises and never calls back before it has returned.
"""

from __future__ import annotations

from typing import Protocol

from kvorum.wire.messages import Message


class Transport(Protocol):
    def send(self, node: int, message: Message) -> None:
        """Queue `message` for `node`; connects first if there is no link yet."""

    def is_up(self, node: int) -> bool:
        """False if the last attempt to reach `node` failed and none has succeeded since."""


class Receiver(Protocol):
    def on_message(self, node: int, message: Message) -> None: ...

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open: its handshake has passed."""

    def on_peer_lost(self, node: int) -> None:
        """No link to `node` is left; what was in flight to or from it may be lost."""
