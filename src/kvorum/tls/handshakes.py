"""TLS handshakes under way: each costs a descriptor and memory, and nobody is known yet.

They are counted from the TCP connection on, and bounded with the other connections of their port.
The oldest is given up first: a handshake takes a few round trips, so one that is old is one that
nobody completes. Each has an absolute deadline besides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class HalfOpen(Protocol):
    """A connection whose handshake is under way."""

    def abort(self) -> None:
        """End it at once."""


class Handshakes:
    """Those of one port, or of several. `seconds`: the time that each has."""

    def __init__(self, seconds: float, make_room: Callable[[], bool]) -> None:
        """`make_room`: False if there is no place for another one."""
        self.seconds = seconds
        self._make_room = make_room
        self._half_open: dict[HalfOpen, None] = {}
        """In the order in which they came."""
        self.given_up = 0
        """How many had to make room for others."""

    def __len__(self) -> int:
        return len(self._half_open)

    def begin(self, connection: HalfOpen) -> bool:
        """A connection has come. False if there is no room: it has to be aborted."""
        if not self._make_room():
            return False
        self._half_open[connection] = None
        return True

    def end(self, connection: HalfOpen) -> None:
        """The handshake is complete, or the connection lost."""
        self._half_open.pop(connection, None)

    def give_up_oldest(self, spared: int = 0) -> bool:
        """Give up the oldest, if there are more than `spared`. False if not."""
        if len(self._half_open) <= spared:
            return False
        oldest = next(iter(self._half_open))
        del self._half_open[oldest]
        self.given_up += 1
        oldest.abort()
        return True

    def abort(self) -> None:
        """End all of them."""
        while self._half_open:
            self._half_open.popitem()[0].abort()
