"""What a web page of another site can have a browser send: it changes and learns nothing."""

from __future__ import annotations

import pytest
from kit.web import Client, Web, both_loops, request

from kvorum.api.http.host_names import HostNames

pytestmark = both_loops

ENTRY = b'{"key":"k","value":1}'
SITE = "http://evil.example"

MUTATIONS: list[tuple[str, str, bytes | None]] = [
    ("POST", "/entry", ENTRY),
    ("POST", "/entry?key=k", b'{"value":1}'),
    ("PATCH", "/entry/k", b'{"metadata":{"ttl":1}}'),
    ("DELETE", "/entry/k", None),
    ("DELETE", "/entry?key=k", None),
    ("POST", "/entries", b'{"entries":[]}'),
    ("POST", "/entries/get", b'{"keys":[]}'),
    ("POST", "/entries/delete", b'{"keys":["k"]}'),
    ("POST", "/entries/touch", b'{"keys":["k"],"metadata":{"ttl":1}}'),
    ("DELETE", "/entries", b'{"keys":["k"]}'),
    ("DELETE", "/entries?prefix=k&confirm=k", None),
    ("POST", "/repair", None),
    ("POST", "/repair", b"{}"),
    ("POST", "/keys/rotate", None),
    ("POST", "/namespaces/shred", b'{"namespace":"default"}'),
    ("POST", "/scrub", None),
    ("PUT", "/entry/k", b"1"),
    ("POST", "/nowhere", None),
]

OF_ANY_TYPE = {
    ("PUT", "/entry/k"),
    ("DELETE", "/entries"),
    ("DELETE", "/entries?prefix=k&confirm=k"),
}
"""No form can send these, so their bodies may be declared as anything."""

FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"origin": SITE, "sec_fetch_site": "cross-site"},
    "another site, of an older browser": {"origin": SITE},
    "no site": {"origin": "null"},
    "a page of another port": {"origin": "http://localhost:3000", "sec_fetch_site": "same-site"},
    "a page of no port": {"origin": "http://localhost"},
    "a site that ends like the server": {"origin": "http://evil.localhost:7400"},
    "a site that begins like the server": {"origin": "http://localhost:7400.evil.example"},
    "the server among others": {"origin": f"http://localhost:7400, {SITE}"},
    "the server without a scheme": {"origin": "localhost:7400"},
    "an empty origin": {"origin": ""},
    "another site without an origin": {"sec_fetch_site": "cross-site"},
    "another port without an origin": {"sec_fetch_site": "same-site"},
    "another site in capitals": {"sec_fetch_site": "Cross-Site"},
    "the site of the server, and another": {"sec_fetch_site": "same-origin, cross-site"},
    "the server, says the page": {
        "origin": "http://localhost:7400",
        "sec_fetch_site": "cross-site",
    },
}


def sent(method: str, path: str, body: bytes | None, **fields: str) -> bytes:
    return request(method, path, body, **fields).replace(b"localhost\r\n", b"localhost:7400\r\n", 1)


async def refused(client: Client, status: int, code: str) -> str:
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json["outcome"] == "none"
    assert not [name for name in answer.fields if name.startswith("access-control")]
    await client.closed()
    return f"{answer.json['detail']} {answer.json['advice']}"


@pytest.mark.parametrize(("method", "path", "body"), MUTATIONS)
async def test_a_page_of_another_site_changes_nothing(
    web: Web, method: str, path: str, body: bytes | None
) -> None:
    for page in FOREIGN.values():
        client = await web.client()
        client.send(sent(method, path, body, **page))
        await refused(client, 403, "foreign_origin")
        await client.close()
    assert web.node.requests == []
    assert web.node.repair == {}
    assert web.key_admin.asked == []


@pytest.mark.parametrize("page", FOREIGN)
async def test_nor_after_requests_that_a_program_made_on_the_same_connection(
    web: Web, page: str
) -> None:
    client = await web.client()
    for _ in range(2):
        client.send(sent("GET", "/entry/k", None))
        assert (await client.response()).status in (200, 404)
        client.send(sent("POST", "/entry", ENTRY))
        assert (await client.response()).status in (200, 201)
    client.send(sent("POST", "/entry", ENTRY, **FOREIGN[page]))
    await refused(client, 403, "foreign_origin")


async def test_a_refusal_comes_before_the_body_is_sent(web: Web) -> None:
    client = await web.client()
    client.send(
        sent("POST", "/entry", None, origin=SITE, content_length="100", expect="100-continue")
    )
    await refused(client, 403, "foreign_origin")


@pytest.mark.parametrize(
    "fields",
    [
        {"origin": "http://localhost:7400"},
        {"origin": "https://LOCALHOST:7400", "sec_fetch_site": "same-origin"},
        {"sec_fetch_site": "none"},
        {},
    ],
)
async def test_who_may(web: Web, fields: dict[str, str]) -> None:
    client = await web.client()
    client.send(sent("POST", "/entry", ENTRY, **fields))
    assert (await client.response()).status == 201
    client.send(sent("DELETE", "/entry/k", None, **fields))
    assert (await client.response()).status == 200


async def test_a_browser_that_asks_for_leave_is_given_none(web: Web) -> None:
    """The CORS preflight."""
    client = await web.client()
    client.send(
        sent("OPTIONS", "/entry/k", None, origin=SITE, access_control_request_method="DELETE")
    )
    answer = await client.response()
    assert answer.status == 405
    assert not [name for name in answer.fields if name.startswith("access-control")]


async def test_reading_is_not_refused_but_not_shown_to_the_page_either(web: Web) -> None:
    client = await web.client()
    for page in FOREIGN.values():
        client.send(sent("GET", "/entry/k", None, **page))
        answer = await client.response()
        assert answer.status == 404
        assert not [name for name in answer.fields if name.startswith("access-control")]


# Bodies


@pytest.mark.parametrize(
    "declared",
    [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "text/plain, application/json",
        "application/json, text/plain",
        "application/jsonp",
        "text/json",
        "json",
        "",
    ],
)
@pytest.mark.parametrize(
    ("method", "path", "body"), [m for m in MUTATIONS if m[:2] not in OF_ANY_TYPE]
)
async def test_a_body_that_a_form_could_send_is_refused(
    web: Web, method: str, path: str, body: bytes | None, declared: str
) -> None:
    client = await web.client()
    client.send(sent(method, path, body or b"", content_type=declared))
    said = await refused(client, 415, "unsupported_media_type")
    assert "send --json instead of -d" in said
    assert web.node.requests == []


async def test_a_body_that_is_not_declared_is_refused(web: Web) -> None:
    undeclared = sent("POST", "/entry", None, content_length=str(len(ENTRY))) + ENTRY
    chunked = sent("POST", "/entry", None, transfer_encoding="chunked") + b"0\r\n\r\n"
    for data in (undeclared, chunked):
        client = await web.client()
        client.send(sent("POST", "/entry", ENTRY))
        assert (await client.response()).status in (200, 201)
        client.send(data)
        await refused(client, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "declared",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json ;charset=utf-8",
        "application/vnd.kvorum+json",
        "application/octet-stream",
    ],
)
async def test_what_no_form_sends_is_taken(web: Web, declared: str) -> None:
    client = await web.client()
    for _ in range(2):
        client.send(sent("POST", "/entry", ENTRY, content_type=declared))
        assert (await client.response()).status in (200, 201)


@pytest.mark.parametrize("declared", ["text/plain", "application/x-www-form-urlencoded"])
async def test_what_a_put_may_declare_is_no_leave_for_a_post(web: Web, declared: str) -> None:
    """No form makes a PUT, so its body may be of any type; that of a POST on the same connection
    may not.
    """
    client = await web.client()
    client.send(sent("PUT", "/entry/k", b"1", content_type=declared))
    assert (await client.response()).status == 201
    client.send(sent("POST", "/entry", ENTRY, content_type=declared))
    await refused(client, 415, "unsupported_media_type")


async def test_what_has_no_body_need_declare_none(web: Web) -> None:
    client = await web.client()
    client.send(sent("POST", "/repair", None))
    assert (await client.response()).status == 202
    client.send(sent("POST", "/repair", None, content_length="0"))
    assert (await client.response()).status == 202


# Host


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:7400",
        b"localhost.evil.example",
        b"evil-localhost",
        b"evil.localhost",
        b"127.0.0.1.evil.example",
        b"127.0.0.1.:80x",
        b"127.0.0.1x",
        b"2130706433",
        b"0x7f000001",
        b"127.1",
        b"[evil]",
        b"[::1].evil.example",
        b"kv.example.evil.example",
        b"xkv.example",
    ],
)
async def test_another_name_is_not_answered(web: Web, host: bytes) -> None:
    """DNS rebinding: the page's own name leads here."""
    await web.start(names=HostNames(["kv.example"]))
    head = b"GET /entry/k HTTP/1.1\r\nHost: %b\r\n\r\n"
    client = await web.client()
    for _ in range(2):
        client.send(head % b"localhost")
        assert (await client.response()).status == 404
    web.node.requests.clear()
    client.send(head % host)
    answer = await client.response()
    assert (answer.status, answer.json["code"]) in [
        (421, "misdirected_request"),
        (400, "malformed_http"),
    ]
    await client.closed()
    assert web.node.requests == []


async def test_a_name_is_refused_with_what_to_do(web: Web) -> None:
    client = await web.client()
    client.send(b"GET /status HTTP/1.1\r\nHost: Kv.Example.:80\r\n\r\n")
    said = await refused(client, 421, "misdirected_request")
    assert "'kv.example'" in said
    assert "allow it as a host name" in said


@pytest.mark.parametrize(
    "host",
    [
        b"localhost",
        b"LocalHost:7400",
        b"localhost.",
        b"127.0.0.1",
        b"127.0.0.1:7400",
        b"10.1.2.3:80",
        b"[::1]",
        b"[::1]:7400",
        b"[2001:DB8::1]:7400",
        b"kv.example",
        b"KV.example.:443",
        b"",
    ],
)
async def test_addresses_and_the_servers_own_names_are_answered(web: Web, host: bytes) -> None:
    await web.start(names=HostNames(["Kv.Example"]))
    client = await web.client()
    client.send(b"GET /status HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    assert (await client.response()).status == 200


async def test_an_absolute_url_is_no_way_around_it(web: Web) -> None:
    """Whichever of the two names is believed."""
    for target, host in ((b"localhost", b"evil.example"), (b"evil.example", b"localhost")):
        client = await web.client()
        client.send(b"GET http://%b/status HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host))
        await refused(client, 421, "misdirected_request")
