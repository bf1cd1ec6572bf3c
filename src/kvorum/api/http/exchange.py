"""One request and the response it is owed."""

from __future__ import annotations

from typing import ClassVar, Final

from kvorum.api.http.problem import problem, problem_fields
from kvorum.api.http.refusals import InternalError
from kvorum.api.http.response import CLOSE, Heads
from kvorum.api.http.statuses import status_of
from kvorum.listener.face import Line
from kvorum.listener.unread_answers import LARGE_ANSWER_BYTES, UnreadAnswers
from kvorum.model.errors import KvorumError
from kvorum.service.principal import ANONYMOUS, Principal

Fields = dict[bytes, bytes]
"""Header fields by lower-case name; only those that mean something here."""


_SAFE: Final = frozenset({b"GET", b"HEAD", b"OPTIONS"})


class Exchange:
    """One request. Its handler answers it once: by `respond`, `not_modified` or `refuse`."""

    accepted: ClassVar[Fields] = {}
    """The Accept field that makes it one of this class."""

    __slots__ = (
        "_heads",
        "_line",
        "body",
        "fields",
        "held",
        "method",
        "path",
        "persistence",
        "principal",
        "query",
        "response",
    )

    def __init__(
        self,
        line: Line,
        heads: Heads,
        method: bytes,
        target: bytes,
        fields: Fields,
        principal: Principal = ANONYMOUS,
    ) -> None:
        self._line = line
        self._heads = heads
        self.method = method
        self.path, _, self.query = target.partition(b"?")
        self.fields = fields
        self.principal = principal
        """Who makes the request."""
        self.body = b""
        self.held = 0
        """Bytes of the body that count as a large one."""
        self.persistence = b""
        """The Connection field of the response, if it needs one."""
        self.response = b""

    @property
    def is_safe(self) -> bool:
        """True if it asks for nothing to be changed (RFC 9110, section 9.2.1)."""
        return self.method in _SAFE

    @property
    def size(self) -> int:
        """About how many bytes the request has: those of its target, fields and body."""
        fields = sum(len(name) + len(value) for name, value in self.fields.items())
        return len(self.path) + len(self.query) + fields + len(self.body)

    @property
    def answers(self) -> UnreadAnswers:
        """Where the parts of a large answer are counted."""
        return self._line.answers

    def respond(
        self, status: int, body: bytes, fields: bytes = b"", media_type: bytes = b""
    ) -> None:
        """`fields`: more header fields, each with its CRLF in front. `media_type`: JSON's if empty.

        Raises Overloaded for a large answer to a safe request if there is no room for it.
        """
        if len(body) >= LARGE_ANSWER_BYTES and self.is_safe:
            self._line.answers.check_room(len(body))
        head = self._heads.of_type(status, media_type) if media_type else self._heads[status]
        shown = b"" if self.method == b"HEAD" else body
        self.body = b""
        self.response = b"".join(
            (head, b"%d" % len(body), fields, self.persistence, b"\r\n\r\n", shown)
        )
        allowance = self.principal.allowance
        if allowance is not None:
            allowance.charge_bytes(len(self.response))
        self._line.on_response(self)

    def not_modified(self, fields: bytes) -> None:
        """Answer 304. `fields` as in `respond`."""
        self.body = b""
        self.response = b"".join((self._heads[304], fields, self.persistence, b"\r\n\r\n"))
        self._line.on_response(self)

    def refuse(self, error: KvorumError) -> None:
        """Answer with `error`."""
        self.respond(status_of(error), problem(error), problem_fields(error))

    def fail(self) -> None:
        """Answer that the program has made an error of its own."""
        self.refuse(InternalError())

    def end(self) -> None:
        """Have the answer say that the connection ends behind it."""
        self.persistence = CLOSE


class LineExchange(Exchange):
    """A request of curl, or of a client that accepts what curl does: a line end follows on JSON."""

    accepted: ClassVar[Fields] = {b"accept": b"*/*"}

    __slots__ = ()

    def respond(
        self, status: int, body: bytes, fields: bytes = b"", media_type: bytes = b""
    ) -> None:
        super().respond(status, body if media_type else body + b"\n", fields, media_type)
