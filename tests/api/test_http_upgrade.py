"""Offers to go on in another protocol are ignored: what was asked is answered in HTTP/1.1."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from kit.web import Web, both_loops, request

from kvorum.api.http.limits import HttpLimits
from kvorum.listener.limits import ListenerLimits

pytestmark = both_loops

OFFER = (
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\n"
)
GET = b"GET /entry/k HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /entry HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
ENTRY = b'{"key":"k","value":1}'
LENGTH = b"Content-Length: %d\r\n" % len(ENTRY)
CHUNKS = b"5\r\n" + ENTRY[:5] + b"\r\n10;x=y\r\n" + ENTRY[5:] + b"\r\n0\r\nTrailer: t\r\n\r\n"
PLAIN = GET + b"\r\n"

OFFERED: dict[str, tuple[bytes, int]] = {
    "a read": (GET + OFFER + b"\r\n", 404),
    "a read of no body": (GET + OFFER + b"Content-Length: 0\r\n\r\n", 404),
    "a body": (POST + OFFER + LENGTH + b"\r\n" + ENTRY, 201),
    "a body of its length first": (POST + LENGTH + OFFER + b"\r\n" + ENTRY, 201),
    "a body in chunks": (POST + OFFER + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, 201),
    "a delete": (b"DELETE /entry/k HTTP/1.1\r\nHost: a\r\n" + OFFER + b"\r\n", 404),
    "a web socket": (GET + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 404),
    "several protocols": (GET + b"Connection: upgrade\r\nUpgrade: h2c, x/2\r\n\r\n", 404),
    "not as an option of the connection": (GET + b"Upgrade: h2c\r\n\r\n", 404),
    "an absolute URL": (GET.replace(b" /", b" http://b/") + OFFER + b"\r\n", 404),
}


@pytest.mark.parametrize("name", OFFERED)
async def test_it_is_served_wherever_it_is_cut(web: Web, name: str) -> None:
    data, status = OFFERED[name]
    for at in range(1, len(data)):
        web.node.records.clear()
        client = await web.client()
        client.send(data[:at])
        await client.drain()
        await asyncio.sleep(0)
        client.send(data[at:] + PLAIN)
        answer = await client.response()
        assert (answer.status, "upgrade" in answer.fields) == (status, False), at
        follower = await client.response()
        assert follower.status == (200 if status == 201 else 404)
        await client.close()


@pytest.mark.parametrize("name", OFFERED)
async def test_it_is_served_a_byte_at_a_time(web: Web, name: str) -> None:
    data, status = OFFERED[name]
    client = await web.client()
    for byte in data + PLAIN:
        client.send(bytes([byte]))
        await client.drain()
    assert (await client.response()).status == status
    assert (await client.response()).status == (200 if status == 201 else 404)


async def test_many_in_one_piece(web: Web) -> None:
    client = await web.client()
    bodies = [b'{"key":"k","value":%d}' % i for i in range(3)]
    posts = [POST + OFFER + b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies]
    client.send((GET + OFFER + b"\r\n").join([b"", *posts, b""]))
    read = [await client.response() for _ in range(7)][::2]
    assert [answer.json.get("value") for answer in read] == [None, 0, 1, 2]


async def test_the_last_request_of_a_connection_stays_the_last(web: Web) -> None:
    client = await web.client()
    head = POST + b"Connection: close, upgrade\r\nUpgrade: h2c\r\n" + LENGTH + b"\r\n"
    client.send(head + ENTRY + PLAIN)
    answer = await client.response()
    assert (answer.status, answer.fields["connection"]) == (201, "close")
    await client.closed()
    assert len(web.node.requests) == 1


async def test_http_1_0(web: Web) -> None:
    client = await web.client()
    client.send(b"GET /status HTTP/1.0\r\n" + OFFER + b"\r\n")
    assert (await client.response()).status == 200
    await client.closed()


async def test_leave_to_send_the_body_is_given_once(web: Web) -> None:
    client = await web.client()
    client.send(POST + OFFER + LENGTH + b"Expect: 100-continue\r\n\r\n")
    assert (await client.response()).status == 100
    client.send(ENTRY)
    assert (await client.response()).status == 201


async def test_conditions_are_kept(web: Web) -> None:
    etag = (await web.put("k", b"1")).fields["etag"].encode()
    client = await web.client()
    client.send(GET + OFFER + b"If-None-Match: %b\r\n\r\n" % etag)
    assert (await client.response()).status == 304


REFUSED: dict[str, tuple[int, bytes]] = {
    "length and coding": (
        400,
        POST + OFFER + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    ),
    "two lengths": (400, POST + OFFER + LENGTH + LENGTH + b"\r\n" + ENTRY),
    "gzip": (501, POST + OFFER + b"Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "too large": (413, POST + OFFER + b"Content-Length: 100000000\r\n\r\n"),
    "no Host": (400, b"GET /status HTTP/1.1\r\n" + OFFER + b"\r\n"),
    "another Host": (421, b"GET /status HTTP/1.1\r\nHost: evil.example\r\n" + OFFER + b"\r\n"),
    "a page of another site": (403, POST + OFFER + b"Origin: null\r\n" + LENGTH + b"\r\n" + ENTRY),
    "a form": (
        415,
        POST.replace(b"application/json", b"text/plain") + OFFER + LENGTH + b"\r\n" + ENTRY,
    ),
    "many fields": (431, GET + OFFER + b"".join(b"X%d: x\r\n" % i for i in range(64)) + b"\r\n"),
    "many trailers": (
        431,
        POST
        + OFFER
        + b"".join(b"X%d: x\r\n" % i for i in range(40))
        + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
        + b"".join(b"Y%d: x\r\n" % i for i in range(40))
        + b"\r\n",
    ),
    "HTTP/2.0": (505, b"GET /status HTTP/2.0\r\nHost: a\r\n" + OFFER + b"\r\n"),
    "CONNECT": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n" + OFFER + b"\r\n"),
    "what was offered, unasked": (505, GET + OFFER + b"\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_offer_is_no_way_around_a_guard(web: Web, name: str) -> None:
    status, data = REFUSED[name]
    client = await web.client()
    client.send(data)
    answer = await client.response()
    if "unasked" in name:
        assert answer.status == 404
        answer = await client.response()
    assert (answer.status, answer.fields["connection"]) == (status, "close")
    await client.closed()


async def test_a_large_body_is_held_once(web: Web) -> None:
    await web.start(
        listener=ListenerLimits(large_bodies_bytes=5000), http=HttpLimits(large_body_bytes=1000)
    )
    body = b'{"key":"k","value":"%b"}' % (b"x" * 2976)
    for _ in range(3):
        client = await web.client()
        client.send(POST + OFFER + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert (await client.response()).status in (200, 201)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
async def test_curl_offers_http_2(web: Web) -> None:
    await web.start()
    url = f"http://127.0.0.1:{web.address[1]}/entry"
    arguments = ["--http2", "-sS", "--max-time", "10", "-H", "Content-Type: application/json"]
    curl = await asyncio.create_subprocess_exec(
        *("curl", *arguments, "-d", ENTRY.decode(), url, "--next", *arguments[:4], f"{url}/k"),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await curl.communicate()
    assert curl.returncode == 0
    assert b'{"metadata":' in printed
    assert b'{"value":1,' in printed


async def test_a_request_alone_may_follow_one_with_an_offer(web: Web) -> None:
    """Heads that are known already are not parsed again, before and after an offer."""
    client = await web.client()
    for data in (PLAIN, PLAIN, GET + OFFER + b"\r\n", PLAIN, PLAIN):
        client.send(data)
        assert (await client.response()).status == 404
    assert (await client.ask("POST", "/entry", ENTRY)).status == 201
    client.send(request("GET", "/entry/k"))
    assert (await client.response()).json["value"] == 1
