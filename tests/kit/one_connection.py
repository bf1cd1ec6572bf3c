"""A listener of one connection, on a wire and a clock that are the test's own."""

from __future__ import annotations

from typing import Any, cast

from kvorum.listener.connection import Connection
from kvorum.listener.face import Face
from kvorum.listener.limits import ListenerLimits
from kvorum.listener.unread_answers import UnreadAnswers

LIMITS = ListenerLimits(
    tick_s=1.0, request_s=10, idle_s=75, unread_s=30, linger_s=2, unread_step_bytes=1000
)


class Wire:
    """A transport that keeps what is written until a test takes it."""

    def __init__(self) -> None:
        self.sent = b""
        self.writes = 0
        self.unread = 0
        self.ended = False
        self.closed = False
        self.reading = True

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None:
        assert not self.ended
        self.sent += data
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return self.unread

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True


class OneConnection:
    """The connection, and what a listener does for it. Each answer leaves in a turn of its own."""

    def __init__(self, face: Face, limits: ListenerLimits = LIMITS) -> None:
        self.answers = UnreadAnswers((), limits.unread_bytes, 1)
        self.limits = limits
        self.wire = Wire()
        self.tick = 1_000_000
        self.leaving = False
        self.held = 0
        self.full = False
        """There are too many connections."""
        self.connection = Connection(self, face)

    def connect(self) -> None:
        self.connection.connection_made(cast("Any", self.wire))

    def admit(self, _connection: Connection) -> bool:
        return not self.full

    def forget(self, connection: Connection) -> None: ...

    def hold(self, size: int) -> None:
        self.held += size

    def release(self, size: int) -> None:
        self.held -= size

    def write_soon(self, connection: Connection) -> None:
        connection.write_ready()

    def turn(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick += 1
            self.connection.sweep(self.tick)
