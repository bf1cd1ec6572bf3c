"""The Transport port: messages between the nodes of one topology, best effort.

Nodes are named by their numbers. A message may be lost when a link
breaks, or where more is sent than the link takes for too long; in the first case both ends hear
`on_peer_lost`. On one link order is kept, but that short messages overtake long ones, and nothing
is delivered twice. `send` never raises and never calls back before it has returned.
"""

from __future__ import annotations

from typing import Final, Protocol

from kvorum.wire.frames import FRAME_BYTES_MAX
from kvorum.wire.messages import Message

LONG_S_MAX: Final = 45.0
"""A message that is too long for one frame is given up when it is not sent by then."""
SLOWEST_BYTES_PER_S: Final = 2 << 20
"""A link is taken to carry at least so much of such messages."""


def transfer_ms(size: int) -> int:
    """How many milliseconds longer to wait for a message of `size` bytes than for a short one."""
    if size <= FRAME_BYTES_MAX:
        return 0
    return min(size * 1000 // SLOWEST_BYTES_PER_S, int(1000 * LONG_S_MAX))


class Transport(Protocol):
    """The way to other nodes."""

    def send(self, node: int, message: Message) -> None:
        """Queue `message` for `node`; connects first if there is no link yet."""

    def is_up(self, node: int) -> bool:
        """False if the last attempt to reach `node` failed and none has succeeded since."""


class Receiver(Protocol):
    """What is told of messages and links."""

    def on_message(self, node: int, message: Message) -> None:
        """`node` has sent `message`."""

    def on_peer_up(self, node: int) -> None:
        """A link to `node` is open: its handshake has passed."""

    def on_peer_lost(self, node: int) -> None:
        """No link to `node` is left; what was in flight to or from it may be lost."""
