"""What the sweeper has seen of a connection, and since which tick."""

from __future__ import annotations

from typing import Final

from kvorum.listener.limits import ListenerLimits

NEW: Final = 0
IDLE: Final = 1
READING: Final = 2
BUSY: Final = 3
CLOSING: Final = 4
"""What a connection may be doing when the sweeper comes."""

Situation = tuple[int, int]
"""What a connection is doing, and how many requests it has begun."""


class Watch:
    """How long a connection has been in its situation, and when its client last took something."""

    __slots__ = ("_since", "_situation", "_taken", "taken_since")

    def __init__(self, tick: int) -> None:
        self._situation: Situation = (NEW, 0)
        self._since = tick
        self.taken_since = tick
        self._taken = 0

    def idle_since(self, begun: int, tick: int) -> int:
        """Since which tick a connection is idle that has `begun` so many requests by `tick`."""
        doing, begun_then = self._situation
        return self._since if doing in (NEW, IDLE) and begun_then == begun else tick

    def saw(self, situation: Situation, tick: int) -> int:
        """For how many ticks the connection has been in this situation."""
        if situation != self._situation:
            self._situation = situation
            self._since = tick
        return tick - self._since

    def saw_taken(self, taken: int, unread: int, limits: ListenerLimits, tick: int) -> int:
        """Ticks in which the client took next to nothing of the `unread` bytes, `taken` in all."""
        if not unread:
            self.taken_since = tick
        elif taken - self._taken >= limits.unread_step_bytes:
            self._taken = taken
            self.taken_since = tick
        return tick - self.taken_since
