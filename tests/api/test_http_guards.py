"""Requests that are no HTTP/1.1 as it is served here: refused, closed, and nobody else hurt."""

from __future__ import annotations

import pytest
from kit.web import Web, both_loops, request

from kvorum.api.http.limits import HttpLimits
from kvorum.api.limits import ApiLimits
from kvorum.service.limits import ServiceLimits

pytestmark = both_loops

GET = b"GET /status HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /entry HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ENTRY = b'{"key":"k","value":1}'

REFUSED: dict[str, tuple[int, bytes]] = {
    "no HTTP at all": (400, b"hello\r\n\r\n"),
    "a TLS greeting": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "an unknown method": (400, b"FETCH / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a lower-case method": (400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "no path": (400, b"GET  HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a relative path": (400, b"GET status HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a space in the path": (400, b"GET /entry/a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a NUL in the path": (400, b"GET /entry/\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "raw UTF-8 in the path": (400, b"GET /entry/\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a fragment": (400, b"GET /status#x HTTP/1.1\r\nHost: a\r\n\r\n"),
    "HTTP/0.9": (505, b"GET /status\r\n\r\n"),
    "HTTP/0.9 by name": (505, b"GET /status HTTP/0.9\r\nHost: a\r\n\r\n"),
    "HTTP/1.2": (505, b"GET /status HTTP/1.2\r\nHost: a\r\n\r\n"),
    "HTTP/2.0": (505, b"GET /status HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/2.0 kept alive": (505, b"GET / HTTP/2.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
    "HTTP/2 with prior knowledge": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/9": (505, b"GET /status HTTP/9.9\r\nHost: a\r\n\r\n"),
    "no Host": (400, b"GET /status HTTP/1.1\r\n\r\n"),
    "two Hosts": (400, GET + b"Host: b\r\n\r\n"),
    "the same Host twice": (400, GET + b"HOST: a\r\n\r\n"),
    "two names in Host": (400, b"GET /status HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    "a path in Host": (400, b"GET /status HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "a user in Host": (400, b"GET /status HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    "bare line feeds": (400, b"GET /status HTTP/1.1\nHost: a\n\n"),
    "a bare carriage return": (400, GET + b"X: a\rb\r\n\r\n"),
    "a NUL in a field": (400, GET + b"X: a\0b\r\n\r\n"),
    "a folded field": (400, GET + b"X: a\r\n b\r\n\r\n"),
    "a space before the first field": (400, b"GET /status HTTP/1.1\r\n Host: a\r\n\r\n"),
    "a space before the colon": (400, b"GET /status HTTP/1.1\r\nHost : a\r\n\r\n"),
    "a field without name": (400, GET + b": a\r\n\r\n"),
    "a field without colon": (400, GET + b"X\r\n\r\n"),
    "length and coding": (400, POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "coding and length": (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"),
    "two lengths": (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    "the same length twice": (400, POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    "a list of lengths": (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
    "a signed length": (400, POST + b"Content-Length: +3\r\n\r\nabc"),
    "a negative length": (400, POST + b"Content-Length: -3\r\n\r\nabc"),
    "a hexadecimal length": (400, POST + b"Content-Length: 0x3\r\n\r\nabc"),
    "an empty length": (400, POST + b"Content-Length:\r\n\r\n"),
    "a length beyond 64 bits": (400, POST + b"Content-Length: 18446744073709551616\r\n\r\n"),
    "a length of 64 bits": (413, POST + b"Content-Length: 18446744073709551615\r\n\r\n"),
    "a body with GET": (413, GET + b"Content-Length: 1\r\n\r\nx"),
    "a chunked body with GET": (413, GET + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"),
    "gzip before chunked": (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "gzip and chunked": (
        501,
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunked is not last": (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    "chunked twice": (400, POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "an unknown coding": (501, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunks in HTTP/1.0": (
        400,
        CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n",
    ),
    "no chunk size": (400, CHUNKED + b"\r\nabc\r\n"),
    "a bad chunk size": (400, CHUNKED + b"zz\r\n"),
    "a negative chunk size": (400, CHUNKED + b"-1\r\n"),
    "a chunk size beyond 64 bits": (400, CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n"),
    "a chunk longer than its size": (400, CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"),
    "a bad trailer": (400, CHUNKED + b"0\r\nFoo bar\r\n\r\n"),
    "a length as trailer": (400, CHUNKED + b"0\r\nContent-Length: 9\r\n\r\n"),
    "CONNECT to a path": (501, b"CONNECT /status HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "CONNECT and what follows": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\nSSH-2.0\r\n"),
    "another expectation": (417, POST + b"Content-Length: 3\r\nExpect: money\r\n\r\n"),
    "a long URL": (414, b"GET /entry/" + b"x" * 8192 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a long field": (431, GET + b"X: " + b"x" * 16384 + b"\r\n\r\n"),
    "a field of spaces": (431, GET + b"X: " + b" " * 16384 + b"\r\n\r\n"),
    "a long name of a field": (431, GET + b"x" * 16384 + b": x\r\n\r\n"),
    "a method without end": (400, b"GET" * 10_000),
    "many fields": (431, GET + b"".join(b"X%d: x\r\n" % i for i in range(64)) + b"\r\n"),
    "many trailers": (431, CHUNKED + b"0\r\n" + b"".join(b"X%d: x\r\n" % i for i in range(64))),
    "a second request that is wrong": (400, b"\r\n\r\nhello\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_and_closed_and_nobody_else_hurt(web: Web, name: str) -> None:
    status, data = REFUSED[name]
    other = await web.client()
    other.send(b"GET /sta")
    client = await web.client()
    client.send(data)
    answer = await client.response()
    assert answer.status == status, answer
    assert answer.fields["connection"] == "close"
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert answer.json["outcome"] == "none"
    await client.closed()
    other.send(b"tus HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await other.response()).status == 200
    assert web.node.requests == []


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_a_byte_at_a_time_as_well(web: Web, name: str) -> None:
    """Guards hold however the bytes come: here in pieces that end in odd places."""
    status, data = REFUSED[name]
    client = await web.client()
    step = 1 if len(data) < 200 else 997
    for at in range(0, len(data), step):
        client.send(data[at : at + step])
        await client.drain()
    answer = await client.response()
    assert answer.status == status
    await client.closed()


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_after_sound_requests_of_the_same_client_as_well(web: Web, name: str) -> None:
    status, data = REFUSED[name]
    client = await web.client()
    for _ in range(2):
        client.send(GET + b"\r\n")
        assert (await client.response()).status == 200
    client.send(data)
    assert (await client.response()).status == status
    await client.closed()


SERVED: dict[str, bytes] = {
    "names in any case": b"GET /status HTTP/1.1\r\nhOsT:a\r\n\r\n",
    "an empty Host": b"GET /status HTTP/1.1\r\nHost:\r\n\r\n",
    "an IPv6 Host": b"GET /status HTTP/1.1\r\nHost: [::1]:7400\r\n\r\n",
    "another protocol by name alone": GET + b"Upgrade: h2c\r\n\r\n",
    "an empty field before Host": b"GET /status HTTP/1.1\r\nX:\r\nHost: a\r\n\r\n",
    "an absolute URL": b"GET http://b:80/status HTTP/1.1\r\nHost: a\r\n\r\n",
    "blank lines first": b"\r\n\r\n" + GET + b"\r\n",
    "a body of no bytes": GET + b"Content-Length: 0\r\n\r\n",
    "63 fields beside Host": GET + b"".join(b"X%d: x\r\n" % i for i in range(63)) + b"\r\n",
    "the longest URL": b"GET /status?" + b"&" * 8180 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "the longest head": GET + b"X: " + b"x" * (16384 - len(GET) - 7) + b"\r\n\r\n",
    "an upgrade nobody asked for": GET + b"X-Upgrade: h2c\r\n\r\n",
}


@pytest.mark.parametrize("name", SERVED)
async def test_served_although_unusual(web: Web, name: str) -> None:
    client = await web.client()
    for _ in range(2):
        client.send(SERVED[name])
        assert (await client.response()).status == (400 if "longest URL" in name else 200)


async def test_a_missing_host_is_noticed_after_requests_that_needed_none(web: Web) -> None:
    client = await web.client()
    client.send(b"GET /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (await client.response()).status == 200
    client.send(b"GET /status HTTP/1.1\r\n\r\n")
    assert (await client.response()).status == 400


async def test_nothing_of_one_request_shows_in_the_next(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"]
    client = await web.client()
    assert (await client.ask("GET", "/entry/k", if_none_match=etag)).status == 304
    assert (await client.ask("GET", "/entry/k")).status == 200
    client.send(CHUNKED + b"15\r\n" + ENTRY + b"\r\n0\r\nIf-Match: *\r\nHost: b\r\n\r\n")
    assert (await client.response()).status == 200
    assert (await client.ask("GET", "/entry/k")).status == 200


# Bodies


async def test_a_body_in_chunks(web: Web) -> None:
    client = await web.client()
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (1, ENTRY[i : i + 1]) for i in range(len(ENTRY)))
    client.send(CHUNKED + chunks + b"0\r\nTrailer: x\r\n\r\n")
    assert (await client.response()).status == 201
    assert (await client.ask("GET", "/entry/k")).json["value"] == 1


async def test_a_body_byte_by_byte(web: Web) -> None:
    client = await web.client()
    for byte in request("POST", "/entry", ENTRY):
        client.send(bytes([byte]))
        await client.drain()
    assert (await client.response()).status == 201


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(web: Web) -> None:
    await web.start(
        service=ServiceLimits(value_bytes=1000), api=ApiLimits(entry_overhead_bytes=100)
    )
    client = await web.client()
    client.send(POST + b"Content-Length: 2101\r\n\r\n")
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (413, "content_too_large")
    await client.closed()


async def test_who_sends_a_body_where_none_is_taken_is_advised_to_leave_it_out(web: Web) -> None:
    await web.start()
    answer = await web.ask("DELETE", "/entry/k", b"{}")
    assert (answer.status, answer.json["code"]) == (413, "content_too_large")
    assert answer.json["advice"] == "Send the request without a body."


async def test_a_client_gets_to_read_why_its_large_body_is_refused(web: Web) -> None:
    client = await web.client()
    client.send(POST + b"Content-Length: 100000000\r\n\r\n")
    for _ in range(64):
        client.send(b"x" * (1 << 16))
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (413, "content_too_large")
    await client.closed()


async def test_a_chunked_body_that_grows_too_large(web: Web) -> None:
    await web.start(
        service=ServiceLimits(value_bytes=1000), api=ApiLimits(entry_overhead_bytes=100)
    )
    client = await web.client()
    client.send(CHUNKED + b"834\r\n" + b"x" * 2100 + b"\r\n")
    client.send(b"1\r\nx\r\n")
    assert (await client.response()).status == 413
    await client.closed()


async def test_chunk_extensions_without_end(web: Web) -> None:
    client = await web.client()
    client.send(CHUNKED + b"1;x=" + b"x" * (1 << 16))
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (400, "malformed_http")
    await client.closed()


async def test_chunk_extensions_spread_over_chunks(web: Web) -> None:
    client = await web.client()
    client.send(CHUNKED + (b"1;" + b"x" * 1000 + b"\r\n \r\n") * 100)
    assert (await client.response()).status == 400
    await client.closed()


async def test_trailers_without_end(web: Web) -> None:
    client = await web.client()
    client.send(CHUNKED + b"0\r\nX: " + b" " * (1 << 17))
    assert (await client.response()).status == 400
    await client.closed()


async def test_too_many_chunks(web: Web) -> None:
    await web.start(http=HttpLimits(chunks=10))
    client = await web.client()
    client.send(CHUNKED + b"1\r\n \r\n" * 11)
    assert (await client.response()).status == 400
    await client.closed()


# Expect: 100-continue


async def test_leave_to_send_the_body(web: Web) -> None:
    client = await web.client()
    client.send(POST + b"Content-Length: 21\r\nExpect: 100-Continue\r\n\r\n")
    assert (await client.response()).status == 100
    client.send(ENTRY)
    assert (await client.response()).status == 201


async def test_no_leave_for_a_body_that_is_too_large(web: Web) -> None:
    client = await web.client()
    client.send(POST + b"Content-Length: 100000000\r\nExpect: 100-continue\r\n\r\n")
    assert (await client.response()).status == 413


async def test_leave_waits_for_the_answers_before_it(web: Web) -> None:
    web.node.holding = True
    client = await web.client()
    client.send(GET.replace(b"/status", b"/entry/k") + b"\r\n")
    client.send(POST + b"Content-Length: 21\r\nExpect: 100-continue\r\n\r\n")
    await web.until(lambda: web.node.held)
    web.node.answer(0)
    assert (await client.response()).status == 404
    assert (await client.response()).status == 100
    client.send(ENTRY)
    await web.until(lambda: web.node.held)
    web.node.answer(0)
    assert (await client.response()).status == 201


async def test_no_leave_is_needed_without_a_body_or_in_http_1_0(web: Web) -> None:
    client = await web.client()
    client.send(GET + b"Expect: 100-continue\r\n\r\n")
    assert (await client.response()).status == 200
    head = POST.replace(b"1.1", b"1.0")
    client.send(head + b"Content-Length: 21\r\nExpect: 100-continue\r\n\r\n")
    client.send(ENTRY)
    assert (await client.response()).status == 201


# The connection's end


async def test_close_is_close(web: Web) -> None:
    client = await web.client()
    answer = await client.ask("GET", "/status", connection="close")
    assert answer.fields["connection"] == "close"
    await client.closed()


async def test_what_follows_the_last_request_is_dropped(web: Web) -> None:
    client = await web.client()
    client.send(GET + b"Connection: close\r\n\r\n" + request("POST", "/entry", ENTRY))
    assert (await client.response()).status == 200
    await client.closed()
    assert web.node.requests == []


async def test_kept_alive_by_default_in_http_1_1(web: Web) -> None:
    client = await web.client()
    for _ in range(3):
        assert "connection" not in (await client.ask("GET", "/status")).fields


async def test_http_1_0_closes_unless_asked_not_to(web: Web) -> None:
    client = await web.client()
    client.send(b"GET /status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (await client.response()).fields["connection"] == "keep-alive"
    client.send(b"GET /status HTTP/1.0\r\n\r\n")
    assert (await client.response()).fields["connection"] == "close"
    await client.closed()


async def test_a_client_that_has_finished_sending_still_gets_its_answers(web: Web) -> None:
    web.node.holding = True
    client = await web.client()
    client.send(request("GET", "/entry/a") + request("GET", "/entry/b"))
    client.finish_sending()
    await web.until(lambda: len(web.node.held) == 2)
    web.node.answer(0)
    web.node.answer(0)
    assert (await client.response()).status == 404
    assert (await client.response()).status == 404
    await client.closed()


@pytest.mark.parametrize("goes", ["in peace", "at once"])
async def test_a_client_that_goes_away_in_the_middle(web: Web, goes: str) -> None:
    web.node.holding = True
    client = await web.client()
    client.send(request("GET", "/entry/a") + POST + b"Content-Length: 100\r\n\r\nabc")
    await web.until(lambda: web.node.held)
    if goes == "at once":
        client.reset()
        await web.until(lambda: web.server.connections == 0)
        web.node.answer(0)
    else:
        await client.close()
        web.node.answer(0)
        await web.until(lambda: web.server.connections == 0)
    web.node.holding = False
    assert (await web.ask("GET", "/entry/a")).status == 404
