"""Bytes in, exchanges out: HTTP/1.x requests by llhttp, with the guards it leaves to us.

llhttp refuses what two parsers in a row could read differently (Transfer-Encoding together
with Content-Length, a repeated Content-Length, folded lines, spaces before a colon, bare
line feeds). The reader refuses the rest: other versions than 1.0 and 1.1, anything but one
Host that is the server's, changes that pages of other sites ask for, codings other than chunked,
CONNECT, and whatever is over a limit.

An offer to go on in another protocol (Upgrade) is ignored, as RFC 9110, section 7.8, has it. llhttp
takes it to be accepted and stops behind the head, even where a body follows. So a new parser reads
the head again, without the offer, and goes on from there.

A familiar head is not parsed (`familiar_head.py`), and whoever shows the same as before is not
identified again (`identification.py`).

Two sizes cannot be seen from the parser's callbacks, because it drops bytes without telling
(spaces around a field's value, chunk extensions). So raw bytes are counted, a piece of input
at a time: no piece is longer than `appetite`, and what a piece held beside content is
overhead of the request it belongs to. Where a pipelined request begins in the middle of a
piece its overhead counts from the next piece on, so at most one piece passes uncounted.
"""

from __future__ import annotations

from typing import Final

import httptools

from kvorum.api.http.cross_site import check_content_type, check_origin
from kvorum.api.http.exchange import Exchange, Fields, LineExchange
from kvorum.api.http.familiar_head import FamiliarHead
from kvorum.api.http.head_rules import (
    MEANINGFUL,
    check_coding,
    check_expectation,
    not_http,
    origin_form,
    too_large,
    without_offer,
)
from kvorum.api.http.host_names import HostNames
from kvorum.api.http.identification import Identification, within_allowance
from kvorum.api.http.limits import HttpLimits
from kvorum.api.http.refusals import (
    HeadTooLarge,
    MalformedHttp,
    NotImplementedHere,
    UnsupportedHttpVersion,
    UrlTooLong,
)
from kvorum.api.http.response import CLOSE, CONTINUE, KEEP_ALIVE, Heads
from kvorum.api.http.router import Endpoint, Router
from kvorum.listener.face import Line
from kvorum.model.errors import KvorumError

_BETWEEN, _HEAD, _BODY = range(3)

_ACCEPT: Final = b"accept"
_AUTHORIZATION: Final = b"authorization"
_ANYTHING: Final = b"*/*"
_JSON: Final = b"application/json"
"""As curl says it, without and with --json."""

_SLASH: Final = ord("/")
_CHUNK_FRAMING_BYTES: Final = 16
"""Size line and line ends of a chunk, at most, without extensions."""


class RequestReader:
    """The requests of one connection."""

    __slots__ = (
        "_authorization",
        "_body",
        "_body_max",
        "_chunked",
        "_chunks",
        "_content",
        "_content_length",
        "_content_type",
        "_endpoint",
        "_exchange",
        "_exchange_type",
        "_familiar",
        "_field_count",
        "_fields",
        "_heads",
        "_host",
        "_identification",
        "_is_plain",
        "_limits",
        "_line",
        "_names",
        "_overhead",
        "_parser",
        "_phase",
        "_repeated",
        "_router",
        "_url",
        "appetite",
        "begun",
        "held",
    )

    _exchange: Exchange
    _endpoint: Endpoint

    def __init__(
        self,
        line: Line,
        router: Router,
        limits: HttpLimits,
        names: HostNames,
        heads: Heads,
        identification: Identification,
    ) -> None:
        # For the connection's life
        self._line = line
        self._heads = heads
        self._router = router
        self._limits = limits
        self._names = names
        self._identification = identification
        self._parser = httptools.HttpRequestParser(self)
        self._host = b""
        self._content_type: bytes | None = b"application/json"
        """A client says the same again and again: what has passed is not checked again."""
        self._familiar = FamiliarHead(limits.url_bytes)
        self.begun = 0
        """How many requests have begun."""
        self.appetite = limits.head_bytes
        """The most bytes `feed` may be given next."""
        # For one request
        self._phase = _BETWEEN
        self._is_plain = False
        self._repeated = b""
        """The head without the offer of another protocol that it has."""
        self._url = b""
        self._fields: Fields = {}
        self._field_count = 0
        self._exchange_type: type[Exchange] = Exchange
        self._authorization: bytes | None = None
        self._overhead = 0
        self._content = 0
        self._content_length = 0
        self._chunked = False
        self._chunks = 0
        self._body_max = 0
        self._body: bytes | bytearray = b""
        self.held = 0
        """What the body being read counts as a large one."""

    @property
    def reading(self) -> bool:
        """A request has begun and is not complete."""
        return self._phase != _BETWEEN

    def last_word(self) -> Exchange:
        """An exchange without a request, for what is said before the connection ends."""
        return self._exchange_type(self._line, self._heads, b"", b"", {})

    def close(self) -> None:
        """Part from the parser, which refers back: nothing is left to the garbage collector."""
        del self._parser
        self._identification.close()

    def feed(self, piece: bytes | memoryview) -> None:
        """Raises a KvorumError for a request that is refused; nothing may be fed after that."""
        phase, begun, content = self._phase, self.begun, self._content
        familiar = self._familiar
        if phase == _BETWEEN and familiar.tail and type(piece) is bytes:
            principal = self._identification.principal
            target = familiar.target(piece) if principal.valid else b""
            if target:
                self.begun += 1
                make, fields = familiar.kind, familiar.fields
                exchange = make(self._line, self._heads, b"GET", target, fields, principal)
                handle = self._router.resolve(b"GET", exchange.path).handle
                if principal.allowance is not None:
                    handle = within_allowance(handle)
                self._line.on_request(exchange, handle)
                return
        try:
            self._parse(piece)
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, KvorumError):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise not_http(str(error)) from error
        if self._phase == _BETWEEN:
            self.appetite = self._limits.head_bytes
            if self._is_plain and phase == _BETWEEN and self.begun == begun + 1:
                familiar.remember(bytes(piece), self._url, self._fields, self._exchange_type)
        elif self.begun == begun:
            self._count(self._overhead + len(piece) - (self._content - content))
        elif phase == _BETWEEN and self.begun == begun + 1:
            self._count(len(piece) - self._content)
        else:
            self._count(0)

    def _parse(self, piece: bytes | memoryview) -> None:
        while piece:
            try:
                self._parser.feed_data(piece)
            except httptools.HttpParserUpgrade as offer:
                at = offer.args[0]
            else:
                return
            self._read_again()
            piece = memoryview(piece)[at:]

    def _read_again(self) -> None:
        """The head that has just been read, without the offer in it."""
        head, self._repeated = self._repeated, b""
        count = self._field_count
        self.begun -= 1
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head)
        self._field_count = count

    def _count(self, overhead: int) -> None:
        """Check the overhead of the unfinished request and set what may come next."""
        self._overhead = overhead
        limits = self._limits
        if self._phase == _HEAD:
            self.appetite = limits.head_bytes - overhead
            if self.appetite <= 0:
                raise HeadTooLarge(
                    f"The request line and header fields take more than {limits.head_bytes} bytes.",
                    wanted=f"at most {limits.head_bytes} bytes",
                )
        elif self._chunked:
            self.appetite = limits.head_bytes
            allowed = limits.chunk_overhead_bytes + _CHUNK_FRAMING_BYTES * self._chunks
            if overhead > limits.head_bytes + allowed:
                raise MalformedHttp(
                    "The chunk extensions and trailers take more than "
                    f"{limits.chunk_overhead_bytes} bytes."
                )
        else:
            self.appetite = max(limits.head_bytes, self._content_length - self._content)

    # The parser's callbacks, in the order they come for a request

    def on_message_begin(self) -> None:
        self._phase = _HEAD
        self.begun += 1
        self._url = b""
        self._fields = {}
        self._field_count = 0
        self._exchange_type = Exchange
        self._authorization = None

    def on_url(self, part: bytes) -> None:
        self._url += part
        if len(self._url) > self._limits.url_bytes:
            wanted = f"at most {self._limits.url_bytes} bytes"
            raise UrlTooLong(
                f"The URL is longer than {self._limits.url_bytes} bytes.", wanted=wanted
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        self._field_count += 1
        if self._field_count > self._limits.header_fields:
            most = self._limits.header_fields
            raise HeadTooLarge(f"There are over {most} header fields.", wanted=f"at most {most}")
        name = name.lower()
        if name in MEANINGFUL and self._phase == _HEAD:
            fields = self._fields
            if name not in fields:
                fields[name] = value
            elif name == b"host":
                raise MalformedHttp("There is more than one Host field.")
            else:
                fields[name] += b", " + value
        elif name == _AUTHORIZATION and self._phase == _HEAD:
            first = self._authorization
            self._authorization = value if first is None else first + b", " + value
        elif name == _ACCEPT and (_ANYTHING in value or value == _JSON):
            self._exchange_type = LineExchange

    def on_headers_complete(self) -> None:
        parser, fields = self._parser, self._fields
        method = parser.get_method()
        if method == b"CONNECT":
            raise NotImplementedHere("This server is no proxy: it does not serve CONNECT.")
        target = self._url
        if target[0] != _SLASH or b"#" in target:
            target = origin_form(target, self._names)
        principal = self._identification.identify(self._authorization)
        exchange = self._exchange_type(self._line, self._heads, method, target, fields, principal)
        self._exchange = exchange
        self._endpoint = self._router.resolve(method, exchange.path)
        host = fields.get(b"host")
        if host != self._host:
            self._check_host(host)
        # Only HTTP/1.1 is kept alive without a Connection field.
        if len(fields) > 1 or host is None or not parser.should_keep_alive():
            self._is_plain = False
            if b"connection" in fields and parser.should_upgrade():
                version = parser.get_http_version()
                kept = fields | self._exchange_type.accepted
                if self._authorization is not None:
                    kept[_AUTHORIZATION] = self._authorization
                self._repeated = without_offer(method, self._url, version, kept)
                return
            self._prepare(exchange, fields)
        else:
            self._is_plain = True
        self._phase = _BODY

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > self._limits.chunks:
            raise MalformedHttp(f"The body has more than {self._limits.chunks} chunks.")

    def on_body(self, part: bytes) -> None:
        if not self._body:
            self._body = part
        else:  # many small parts must not become many objects
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += part
        self._content += len(part)
        if self._content > self._body_max:
            raise too_large(f"more than {self._body_max}", self._body_max)
        if self._chunked and not self.held and self._content >= self._limits.large_body_bytes:
            self._hold(self._body_max)

    def on_message_complete(self) -> None:
        if self._repeated:
            return  # only the head is complete
        self._phase = _BETWEEN
        exchange = self._exchange
        if self._body:
            exchange.body, self._body = bytes(self._body), b""
            exchange.held, self.held = self.held, 0
            self._content = 0
        handle, principal = self._endpoint.handle, exchange.principal
        if principal.allowance is not None or not principal.valid:
            handle = self._identification.guarded(exchange, handle)
        if exchange.persistence == CLOSE:
            self._line.on_last_request(exchange, handle)
        else:
            self._line.on_request(exchange, handle)

    # What a head asks for

    def _check_host(self, host: bytes | None) -> None:
        if host is None:
            if self._parser.get_http_version() == "1.1":
                raise MalformedHttp("The Host field is missing.")
            return
        self._names.check(host)
        self._host = host

    def _prepare(self, exchange: Exchange, fields: Fields) -> None:
        """Anything a head asks for beyond a request of HTTP/1.1 without a body."""
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise UnsupportedHttpVersion(f"HTTP/{version} is not served, only HTTP/1.1 and 1.0.")
        if not self._parser.should_keep_alive():
            exchange.persistence = CLOSE
        elif version == "1.0":
            exchange.persistence = KEEP_ALIVE
        self._body_max = self._endpoint.body_bytes_max
        self._chunks = 0
        self._chunked = b"transfer-encoding" in fields
        self._content_length = int(fields.get(b"content-length", b"0"))
        if (self._chunked or self._content_length) and not exchange.principal.valid:
            self._identification.check_shown(exchange.principal)
        if not exchange.is_safe:
            self._check_sender(fields)
        if self._chunked:
            check_coding(fields[b"transfer-encoding"], version)
        elif self._content_length > self._body_max:
            raise too_large(f"{self._content_length}", self._body_max)
        elif self._content_length >= self._limits.large_body_bytes:
            self._hold(self._content_length)
        if b"expect" in fields and version == "1.1":
            check_expectation(fields[b"expect"])
            if self._chunked or self._content_length:
                self._line.interject(CONTINUE)

    def _check_sender(self, fields: Fields) -> None:
        """Of a request that may change something."""
        if b"origin" in fields or b"sec-fetch-site" in fields:
            check_origin(fields)
        declared = fields.get(b"content-type")
        if declared is None and not self._chunked and not self._content_length:
            return
        if declared != self._content_type and not self._endpoint.takes_any_type:
            check_content_type(declared)
            self._content_type = declared

    def _hold(self, size: int) -> None:
        self._line.hold(size)
        self.held = size
