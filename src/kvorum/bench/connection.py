"""One HTTP/1.1 connection: one request at a time, its answer told to a listener.

Callbacks all the way: no task, future or timer per request. The parser is llhttp by way of
httptools; it makes no Python call per header, since no handler for headers is given to it.
The listener is called when the parser is done with the bytes it got, so it may send the next
request from there.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, cast

import httptools

BODY_BYTES_MAX: Final = 16 * 1024 * 1024


class Listener(Protocol):
    """Whom a connection tells of its answers."""

    def on_answer(self, status: int, body: bytes) -> None: ...

    def on_lost(self, reason: str) -> None:
        """The connection is gone; a request that was waiting gets no answer."""


class Connection(asyncio.Protocol):
    """A connection of one caller."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reason = "connection lost"
        self._waiting = False
        self._status = 0
        self._body = b""
        self._keep_alive = True

    @property
    def usable(self) -> bool:
        """It can take a request now."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes) -> None:
        """The connection must be usable, and nothing else in flight."""
        assert self._transport is not None, "send on a connection that is gone"
        self._waiting = True
        self._transport.write(request)

    def close(self, reason: str) -> None:
        """Give up the connection; the listener will be told `reason`."""
        if self._transport is not None and not self._transport.is_closing():
            self._reason = reason
            self._transport.abort()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close("malformed answer")
            return
        if self._status and self.usable:
            self._deliver()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.on_lost(self._reason)

    # httptools' side

    def on_message_begin(self) -> None:
        if not self._waiting:
            self.close("an answer that was not asked for")

    def on_body(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body
        if len(self._body) > BODY_BYTES_MAX:
            self.close("answer too large")

    def on_message_complete(self) -> None:
        # The parser knows these only until it has returned.
        self._status = self._parser.get_status_code()
        self._keep_alive = self._parser.should_keep_alive()
        self._waiting = False

    def _deliver(self) -> None:
        status, self._status = self._status, 0
        body, self._body = self._body, b""
        if not self._keep_alive:
            self.close("closed by the server")
        self._listener.on_answer(status, body)
