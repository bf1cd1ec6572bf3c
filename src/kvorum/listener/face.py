"""The port of protocols: what a listener asks of one, and what it does for it.

    Face        a protocol; one for all connections that are made to a port
    Session     the requests of one connection: bytes in, exchanges out
    Exchange    one request, and the answer that it is owed
    Line        the connection, as sessions and exchanges see it

A session reports each complete request by `Line.on_request`, with who is to carry it out. Its
exchange is answered once, at once or later: `response` is set, and `Line.on_response` called. The
listener decides in which order requests are carried out and answers leave, how much is read, and
when a client is given up (`connection.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from kvorum.listener.caller import Caller
from kvorum.listener.unread_answers import UnreadAnswers
from kvorum.model.errors import KvorumError


class Exchange(Protocol):
    """One request, and the answer it is owed."""

    response: bytes
    """The whole answer; empty until it is made."""
    held: int
    """The size of a large request, for which `Line.hold` was called; else 0."""

    @property
    def is_safe(self) -> bool:
        """True if it asks for nothing to be changed: others may be carried out beside it."""

    def end(self) -> None:
        """It is the last one of its connection; the answer says so if the protocol can."""

    def refuse(self, error: KvorumError) -> None:
        """Answer with `error`."""

    def fail(self) -> None:
        """Answer that the program has made an error of its own."""


E = TypeVar("E", bound=Exchange)


class Line(Protocol):
    """The connection. Must not raise, but for `hold`."""

    answers: UnreadAnswers

    @property
    def caller(self) -> Caller:
        """Who is at the other end; once the connection is made."""

    def on_request(self, exchange: E, handle: Callable[[E], object], /) -> None:
        """A request is complete. `handle` is called in its turn; its KvorumError is the answer."""

    def on_last_request(self, exchange: E, handle: Callable[[E], object], /) -> None:
        """The same, for one that has the connection closed behind its answer."""

    def on_response(self, exchange: Exchange, /) -> None:
        """`exchange.response` is there."""

    def interject(self, notice: bytes, /) -> None:
        """Write `notice`, which belongs to no request, behind the answers that are owed; not any
        more, once the request that is being read is complete.
        """

    def hold(self, size: int, /) -> None:
        """Account for a large request until it is answered. Raises Overloaded."""


class Session(Protocol):
    """The requests of one connection."""

    appetite: int
    """The most bytes `feed` may be given next."""
    begun: int
    """How many requests have begun."""
    held: int
    """The size of a large request that is being read, for which `Line.hold` was called."""

    @property
    def reading(self) -> bool:
        """True if a request has begun and is not complete."""

    def feed(self, piece: bytes | memoryview, /) -> None:
        """Raises a KvorumError for what is no request; nothing is fed after that."""

    def last_word(self) -> Exchange:
        """An exchange without a request, for what is to be said before the connection ends."""

    def close(self) -> None:
        """The connection is lost."""


class Face(Protocol):
    """A protocol."""

    port_option: str
    """The option that chooses another port, as messages name it."""

    def session(self, line: Line, /) -> Session:
        """For a new connection."""

    def on_tick(self, wall_ms: int, /) -> None:
        """Called before the first connection, and once a tick. `wall_ms`: since 1970."""
