"""The bounds of a listener: what one client, and all of them together, may hold of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

_UNREAD_PART: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """The bounds of connections, and of what they hold together."""

    pipeline: int = 64
    """Requests of one connection that wait for their answers."""
    parallel: int = 8
    """Requests of one connection that are carried out at a time."""
    connections: int = 1024
    """One more is let in if there is an idle one, which is given up for it."""
    backlog: int = 1024
    """Connections that wait to be accepted, which may happen in one go."""
    large_bodies_bytes: int = 256 << 20
    """Large requests held at a time, until they are answered."""
    unread_bytes: int = 64 << 20
    """Answers that clients have not taken, over all connections."""
    stalled_s: float = 2.0
    """A client that takes nothing for so long may be cut off where others need the room."""
    unread_high_bytes: int = 256 << 10
    """A connection with more than this unread gets no more of its requests read."""
    handshake_s: float = 10.0
    """From the connection to the end of its TLS handshake."""
    request_s: float = 10.0
    """From a request's first byte to its last."""
    idle_s: float = 75.0
    """Between requests."""
    unread_s: float = 30.0
    """In this time a client must take all there is for it, or `unread_step_bytes`."""
    unread_step_bytes: int = 64 << 10
    linger_s: float = 2.0
    """How long input is read and dropped after the last response of a connection, so that
    the client gets to read that response: closing on unread input resets the connection."""
    tick_s: float = 0.5
    """How often deadlines are looked at; they are kept in whole ticks."""

    @classmethod
    def within(cls, memory: int, connections: int, backlog: int) -> Self:
        """For a node with `memory` bytes of caches and buffers, and so many connections."""
        return cls(unread_bytes=memory // _UNREAD_PART, connections=connections, backlog=backlog)

    def ticks(self, seconds: float) -> int:
        """The least number of ticks that lasts `seconds`."""
        return math.ceil(seconds / self.tick_s)
