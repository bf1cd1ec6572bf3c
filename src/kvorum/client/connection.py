"""One HTTP/1.1 connection to a server: one request at a time, its answer bounded.

The parser is llhttp by way of httptools. Whatever ends a request without a whole answer
closes the connection: an answer that is late, cut off, too large or not HTTP must never be
taken for the answer to the next request.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, NoReturn, cast

import httptools

from kvorum.client import handshake
from kvorum.client.answers import Answer
from kvorum.client.security import Security
from kvorum.model.errors import ConnectionFailed, KvorumError, Outcome, ProtocolError

HEAD_BYTES_MAX: Final = 64 * 1024
BODY_BYTES_MAX: Final = 64 * 1024 * 1024


class AnswerTooLarge(ProtocolError):
    """The answer's body is over the client's bound; asking for less may help."""


class Connection(asyncio.Protocol):
    """A connection to `server`, which carries one request at a time; `security` is that of its
    TLS."""

    def __init__(self, server: str, security: Security | None = None) -> None:
        self.server = server
        self._security = security
        self.idle_since = 0.0
        self._transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        """Done when the socket is closed."""
        self._answer: asyncio.Future[Answer] | None = None
        self._keep_alive = True
        self._has_spoken = False
        self._begin("none")

    @property
    def usable(self) -> bool:
        """It can take a request now."""
        return self._transport is not None and self._answer is None and self._keep_alive

    async def exchange(self, request: bytes, unverified: Outcome) -> Answer:
        """The answer to `request`. Raises ConnectionFailed or ProtocolError, of that outcome."""
        if self._transport is None or not self.usable:
            raise ConnectionFailed(f"The connection to {self.server} is closed.")
        self._begin(unverified)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.abort()
            raise

    def abort(self) -> None:
        """Close at once; a request in flight fails."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def _begin(self, unverified: Outcome) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._unverified: Outcome = unverified
        self._in_head = True
        self._head_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._retry_after: float | None = None
        self._refusal: KvorumError | None = None

    def _fail(self, error: KvorumError) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(self._lost_because_of(exc))
        if not self.lost.done():
            self.lost.set_result(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.abort()
            return
        self._has_spoken = True
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
            if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(f"has a head of more than {HEAD_BYTES_MAX} bytes")
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ProtocolError) as error:
            self._fail(self._refusal or self._not_http(error, data))

    # the parser's side

    def on_message_begin(self) -> None:
        if self._answer is None:
            self._refuse("is followed by a second one")

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-length" if int(value) > BODY_BYTES_MAX:
                self._refuse_body(int(value))
            case b"retry-after" if value.isdigit():
                self._retry_after = float(value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._parser.get_status_code() < 200:
            self._refuse(f"is not final: HTTP {self._parser.get_status_code()}")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_MAX:
            self._refuse_body(self._body_bytes)
        self._body.append(body)

    def on_message_complete(self) -> None:
        answer, self._answer = self._answer, None
        self._keep_alive = self._parser.should_keep_alive()
        body = b"".join(self._body)
        if handshake.says_so(body):
            self._answer = answer
            self._refusal = handshake.wants_tls(self.server)
            self._fail(self._refusal)
        elif answer is not None and not answer.done():
            answer.set_result(
                Answer(
                    self._parser.get_status_code(),
                    body,
                    self._retry_after,
                    self._unverified,
                    closes=not self._keep_alive,
                )
            )

    def _refuse_body(self, size: int) -> NoReturn:
        self._refusal = AnswerTooLarge(
            f"The answer of {self.server} has {size} bytes, and at most {BODY_BYTES_MAX} are read. "
            "Ask for fewer entries at once.",
            outcome=self._unverified,
        )
        raise self._refusal

    def _refuse(self, what: str) -> NoReturn:
        message = f"The answer of {self.server} {what}. Is this a kvorum server?"
        self._refusal = ProtocolError(message, outcome=self._unverified)
        raise self._refusal

    def _lost_because_of(self, exc: Exception | None) -> ConnectionFailed:
        if self._security and isinstance(exc, ssl.SSLError) and not self._has_spoken:
            # In TLS 1.3 a server may refuse the client's certificate when that has begun to ask.
            # It has read nothing then.
            return handshake.refused_client(self.server, self._security, exc)
        reason = f": {exc}" if exc else ""
        hint = "" if self._has_spoken else handshake.NEVER_SPOKE[self._security is not None]
        return ConnectionFailed(
            f"{self.server} closed the connection before its answer was complete{reason}.{hint}",
            outcome=self._unverified,
        )

    def _not_http(self, error: Exception, data: bytes) -> KvorumError:
        if handshake.is_alert(data):
            return handshake.wants_tls(self.server)
        return ProtocolError(
            f"The answer of {self.server} is not HTTP ({error}). Is this a kvorum server?",
            outcome=self._unverified,
        )
