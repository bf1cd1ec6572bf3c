"""What a piece of input means does not depend on the requests that went before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from kvorum.api.http.exchange import Exchange
from kvorum.api.http.host_names import HostNames
from kvorum.api.http.identification import Identification
from kvorum.api.http.limits import HttpLimits
from kvorum.api.http.reader import RequestReader
from kvorum.api.http.response import Heads
from kvorum.api.http.router import Endpoint
from kvorum.listener.caller import Caller
from kvorum.listener.unread_answers import UnreadAnswers
from kvorum.model.errors import KvorumError
from kvorum.service.authentication import OPEN_TO_ALL

LIMITS = HttpLimits(url_bytes=30)
NAMES = HostNames(["a", "h"])


class Line:
    """A connection that lists what it is told, and a router that has every path."""

    def __init__(self) -> None:
        self.answers = UnreadAnswers((), 1 << 20, 1)
        self.told: list[Any] = []

    def on_request(self, exchange: Any, handle: Callable[[Any], object]) -> None:
        assert isinstance(exchange, Exchange)
        parts = (exchange.method, exchange.path, exchange.query, exchange.fields)
        self.told.append((*parts, exchange.body, exchange.persistence, handle))

    def on_last_request(self, exchange: Any, handle: Callable[[Any], object]) -> None:
        self.on_request(exchange, handle)

    @property
    def caller(self) -> Caller:
        return Caller("127.0.0.1", None)

    def interject(self, notice: bytes) -> None:
        self.told.append(notice)

    def on_response(self, exchange: object) -> None: ...

    def hold(self, size: int) -> None: ...

    def resolve(self, method: bytes, path: bytes) -> Endpoint:
        return Endpoint(print, len(path))


class Reading:
    def __init__(self) -> None:
        self.line = Line()
        self._reader = RequestReader(
            self.line, self.line, LIMITS, NAMES, Heads(0), Identification(OPEN_TO_ALL, self.line)
        )
        self.refused = False

    def of(self, piece: bytes) -> list[Any]:
        """All that comes of `piece`, and whether a request is left open."""
        self.line.told = []
        try:
            self._reader.feed(piece)
        except KvorumError as error:
            self.refused = True
            self.line.told.append(str(error))
        self.open = self._reader.reading
        return [*self.line.told, self.open, self._reader.begun]


# The same few again and again, so that there is something to remember.
methods = st.sampled_from([b"GET", b"GET", b"GET", b"HEAD", b"POST", b"get", b"GET "])
targets = st.sampled_from(
    [
        *(b"/", b"/a?b=%20", b"/entry/k", b"/" + b"x" * 29, b"/" + b"x" * 30, b"http://h/p"),
        *(b"http://evil.example/p",),
        *(b"a", b"*", b"", b"/ ", b"/a#b", b"/\xc3\xa9", b"/a\rb", b"/\x00", b'/"', b"/{}"),
        b"/a HTTP/1.1\r\nX: b",
    ]
)
ends = st.sampled_from(
    [
        b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\n\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\n\r\nG",
        b" HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b" HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nOrigin: null\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: cross-site\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nIf-Match: *\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b" HTTP/1.1\r\n\r\n",
        b" HTTP/1.0\r\nHost: a\r\n\r\n",
        b" HTTP/1.1\r\nHost: a\r\n",
        b"",
    ]
)
starts = st.sampled_from([b"", b"", b"", b"\r\n"])
pieces = st.builds(lambda *parts: b"".join(parts), starts, methods, st.just(b" "), targets, ends)
PLAIN = b"GET /k HTTP/1.1\r\nHost: a\r\n\r\n"


@given(st.lists(pieces, min_size=1, max_size=12))
@settings(max_examples=300)
def test_a_reader_understands_as_one_that_has_read_nothing_before(pieces: list[bytes]) -> None:
    reading = Reading()
    begun = 0
    for piece in (PLAIN, *pieces):
        *told, is_open, count = reading.of(piece)
        *wanted, would_be_open, more = Reading().of(piece)
        assert (told, is_open, count) == (wanted, would_be_open, begun + more)
        begun = count
        if reading.refused or is_open or b"close" in piece or b"1.0" in piece:
            event("ended")
            return
    event("went on to the end")


def test_what_was_cut_is_put_together_although_the_rest_is_familiar() -> None:
    head = b"GET /entry/k HTTP/1.1\r\nHost: a\r\n\r\n"
    for at in range(1, len(head)):
        reading = Reading()
        whole = reading.of(head)
        assert reading.of(head)[:-1] == whole[:-1]
        assert reading.of(head[:at])[:-1] == [True]
        assert reading.of(head[at:])[:-1] == whole[:-1]
        assert reading.of(head) == [*whole[:-1], 4]


def test_a_body_that_looks_like_a_familiar_request_is_a_body() -> None:
    reading = Reading()
    reading.of(PLAIN)
    post = b"POST /k HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d"
    post = post % (2 * len(PLAIN)) + b"\r\n\r\n"
    large = Endpoint(print, 1000)
    reading.line.resolve = lambda method, path: large  # type: ignore[method-assign]
    assert reading.of(post) == [True, 2]
    assert reading.of(PLAIN) == [True, 2]
    told, is_open, begun = reading.of(PLAIN)
    assert (told[0], told[4], is_open, begun) == (b"POST", 2 * PLAIN, False, 2)


def test_an_offer_of_another_protocol_means_nothing() -> None:
    heads = [
        b"GET /k HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n%b\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n%bContent-Length: 0\r\n\r\n",
        b"GET /k HTTP/1.0\r\nConnection: upgrade\r\n%b\r\n",
        b"GET /k HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\n%b\r\n",
        b"GET /k HTTP/1.1\r\nHost: evil.example\r\nConnection: upgrade\r\n%b\r\n",
        b"POST /k HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n%bContent-Length: 1\r\n\r\nx",
    ]
    for head in heads:
        offered = head % b"Upgrade: h2c\r\n"
        assert Reading().of(offered) == Reading().of(head % b"")
        for at in range(1, len(offered)):
            reading = Reading()
            begun = reading.of(offered[:at])
            if not reading.refused:
                assert begun[:-2] + reading.of(offered[at:]) == Reading().of(head % b"")
