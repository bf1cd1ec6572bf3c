"""The port of connections: what a connection asks of its listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from kvorum.listener.limits import ListenerLimits
from kvorum.listener.unread_answers import UnreadAnswers

if TYPE_CHECKING:
    from kvorum.listener.connection import Connection


class Host(Protocol):
    """The listener, as a connection sees it."""

    limits: ListenerLimits
    tick: int
    """How many ticks there have been."""
    answers: UnreadAnswers
    leaving: bool
    """It is about to stop: the next request of each connection is its last."""

    def admit(self, connection: Connection) -> bool:
        """False if there are too many connections, and requests under way on all."""

    def forget(self, connection: Connection) -> None: ...

    def hold(self, size: int) -> None:
        """Account for a large request. Raises Overloaded if there is no room for it."""

    def release(self, size: int) -> None: ...

    def write_soon(self, connection: Connection) -> None:
        """Call its `write_ready` at the end of this turn of the loop."""
