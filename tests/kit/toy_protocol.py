"""A protocol of lines, and a node that answers when the test lets it.

    get NAME    safe
    put NAME    may change something
    hold N      like put, and N bytes of it count as large
    bye NAME    the last request of its connection

An answer is the line itself in capitals, or "! CODE".
"""

from __future__ import annotations

from kvorum.listener.face import Line
from kvorum.listener.unread_answers import LARGE_ANSWER_BYTES
from kvorum.model.errors import KvorumError, RequestError

LINE_BYTES = 4 * LARGE_ANSWER_BYTES


class ToyExchange:
    def __init__(self, line: Line, asked: bytes) -> None:
        self._line = line
        self.asked = asked
        self.response = b""
        self.held = 0
        self.ended = False

    @property
    def is_safe(self) -> bool:
        return self.asked.startswith(b"get ")

    def end(self) -> None:
        self.ended = True

    def answer(self, text: bytes) -> None:
        self.response = text + (b" (end)" if self.ended else b"") + b"\n"
        self._line.on_response(self)

    def refuse(self, error: KvorumError) -> None:
        self.answer(b"! " + error.code.encode())

    def fail(self) -> None:
        self.answer(b"! fault")


class ToySession:
    def __init__(self, line: Line, face: ToyFace) -> None:
        self._line = line
        self._face = face
        self._begun_line = b""
        self.appetite = LINE_BYTES
        self.begun = 0
        self.held = 0
        self.closed = False

    @property
    def reading(self) -> bool:
        return bool(self._begun_line)

    def feed(self, piece: bytes | memoryview) -> None:
        for part in bytes(piece).splitlines(keepends=True):
            if not self._begun_line:
                self.begun += 1
            self._begun_line += part
            if part.endswith(b"\n"):
                asked, self._begun_line = self._begun_line[:-1], b""
                self._complete(asked)

    def _complete(self, asked: bytes) -> None:
        verb, _, rest = asked.partition(b" ")
        exchange = ToyExchange(self._line, asked)
        if verb == b"fault":
            raise ZeroDivisionError
        if verb == b"hold":
            self._line.hold(int(rest))
            exchange.held = int(rest)
        elif verb == b"wait":
            self._line.interject(b"waiting\n")
            return
        elif verb not in (b"get", b"put", b"bye"):
            raise RequestError(f"wanted a request, got {asked!r}")
        if verb == b"bye":
            exchange.end()
            self._line.on_last_request(exchange, self._face.handle)
        else:
            self._line.on_request(exchange, self._face.handle)

    def last_word(self) -> ToyExchange:
        return ToyExchange(self._line, b"")

    def close(self) -> None:
        self.closed = True


class ToyFace:
    """The protocol, and the requests that wait for `answer`."""

    port_option = "--toy-port"

    def __init__(self) -> None:
        self.begun: list[ToyExchange] = []
        self.sessions: list[ToySession] = []
        self.walls: list[int] = []

    @property
    def asked(self) -> list[str]:
        return [exchange.asked.decode() for exchange in self.begun]

    def session(self, line: Line) -> ToySession:
        session = ToySession(line, self)
        self.sessions.append(session)
        return session

    def on_tick(self, wall_ms: int) -> None:
        self.walls.append(wall_ms)

    def handle(self, exchange: ToyExchange) -> None:
        if exchange.asked == b"get nothing":
            raise RequestError("wanted something")
        if exchange.asked == b"get fault":
            raise ZeroDivisionError
        self.begun.append(exchange)

    def answer(self, index: int = 0, size: int = 0) -> None:
        """Answer the request at `index` of those that are under way, with `size` bytes or so."""
        exchange = self.begun.pop(index)
        exchange.answer(exchange.asked.upper() + b"." * size)
