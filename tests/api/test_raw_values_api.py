"""PUT of a value as it is, with the type it is declared as; and ?raw=true, which gives it back."""

from __future__ import annotations

import base64

import pytest
from kit.node import ACTOR, BORN_MS, FakeNode
from kit.web import Response, Web, request

from kvorum.model.record import BINARY, JSON, TYPED
from kvorum.model.request import ABSENT, ANY, EXACT, PRESENT, Put
from kvorum.model.topology import TTL_S_MAX
from kvorum.model.typed_value import join_type
from kvorum.service.limits import ServiceLimits

FORM = "application/x-www-form-urlencoded"
PNG = b"\x89PNG\r\n\x1a\n\x00\xff"


def sent(web: Web) -> Put:
    request = web.node.requests[-1]
    assert isinstance(request, Put)
    return request


async def put_without_type(web: Web, body: bytes) -> Response:
    client = await web.client()
    client.send(b"PUT /entry/k HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    client.send(body)
    return await client.response()


async def refused(web: Web, answer: Response, status: int, code: str) -> dict[str, str]:
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.json["outcome"] == "none"
    assert web.node.requests == []
    found: dict[str, str] = answer.json
    return found


# What a body is


@pytest.mark.parametrize(
    "declared", ["application/json", "Application/JSON; charset=utf-8", FORM, f"{FORM}; charset=x"]
)
async def test_json_is_stored_as_it_was_sent(web: Web, declared: str) -> None:
    answer = await web.ask("PUT", "/entry/k", b' {"a": 1.50}\n', content_type=declared)
    assert answer.status == 201
    assert (sent(web).kind, sent(web).value) == (JSON, b'{"a": 1.50}')
    read = await web.ask("GET", "/entry/k")
    assert read.json["value"] == {"a": 1.5}
    assert answer.json["metadata"] == read.json["metadata"]
    assert answer.fields["etag"] == read.fields["etag"]
    assert (await web.ask("PUT", "/entry/k", b"2", content_type=declared)).status == 200


async def test_what_is_not_declared_is_json(web: Web) -> None:
    assert (await put_without_type(web, b"[1]")).status == 201
    assert (sent(web).kind, sent(web).value) == (JSON, b"[1]")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"red",
        b"1 2",
        b"1,2",
        b'{"a":1',
        b"'a'",
        b'"\xff"',
        b'"\\ud800"',
        b"a=1&b=2",
        PNG,
    ],
)
async def test_what_is_no_json_is_refused_with_what_to_do(web: Web, body: bytes) -> None:
    for answer in (
        await web.ask("PUT", "/entry/k", body, content_type="application/json"),
        await web.ask("PUT", "/entry/k", body, content_type=FORM),
    ):
        said = await refused(web, answer, 400, "invalid_value")
        assert "Content-Type: application/octet-stream" in said["advice"]


async def test_a_value_nested_too_deeply_is_refused(web: Web) -> None:
    for depth in (200, 100_000):
        answer = await web.ask("PUT", "/entry/k", b"[" * depth + b"]" * depth)
        assert "nested" in (await refused(web, answer, 400, "invalid_value"))["detail"]


async def test_bytes_are_stored_as_bytes(web: Web) -> None:
    answer = await web.ask("PUT", "/entry/k", PNG, content_type="application/octet-stream")
    assert answer.status == 201
    assert (sent(web).kind, sent(web).value) == (BINARY, PNG)
    metadata = (await web.ask("GET", "/entry/k")).json["metadata"]
    assert metadata["encoding"] == "base64"
    assert "contentType" not in metadata


@pytest.mark.parametrize(
    "declared", ["image/png", "text/plain; charset=utf-8", 'a/b; c="d\\"e"', "application/x+json"]
)
async def test_another_type_is_kept_with_the_bytes(web: Web, declared: str) -> None:
    for body in (PNG, b""):
        await web.ask("PUT", "/entry/k", body, content_type=f" {declared} ")
        assert (sent(web).kind, sent(web).value) == (TYPED, join_type(declared, body))
        read = (await web.ask("GET", "/entry/k")).json
        assert base64.b64decode(read["value"]) == body
        assert read["metadata"]["encoding"] == "base64"
        assert read["metadata"]["contentType"] == declared


async def test_what_get_shows_of_a_typed_value_can_be_posted(web: Web) -> None:
    await web.ask("PUT", "/entry/k", PNG, content_type="image/png")
    read = (await web.ask("GET", "/entry/k")).json
    body = b'{"key":"l","value":"%b","metadata":{"encoding":"base64","contentType":"image/png"}}'
    assert (await web.ask("POST", "/entry", body % read["value"].encode())).status == 201
    assert web.node.record("l").versions[0].value == join_type("image/png", PNG)
    raw = await web.ask("GET", "/entry/l?raw=true")
    assert (raw.fields["content-type"], raw.body) == ("image/png", PNG)


@pytest.mark.parametrize(
    "metadata",
    [
        b'{"contentType":"image/png"}',
        b'{"contentType":"png","encoding":"base64"}',
        b'{"contentType":"a/b\\r\\nX: y","encoding":"base64"}',
        b'{"contentType":"","encoding":"base64"}',
    ],
)
async def test_a_posted_type_is_checked(web: Web, metadata: bytes) -> None:
    body = b'{"key":"k","value":"AAAA","metadata":%b}' % metadata
    await refused(web, await web.ask("POST", "/entry", body), 400, "invalid_value")


@pytest.mark.parametrize(
    "declared", ["png", "image/", "text/plain, text/html", "a/b; c", "a/" + "b" * 300, "a/ä"]
)
async def test_what_is_no_type_is_refused(web: Web, declared: str) -> None:
    answer = await web.ask("PUT", "/entry/k", b"1", content_type=declared)
    said = await refused(web, answer, 415, "unsupported_media_type")
    assert "content type" in said["detail"]


async def test_a_type_that_is_given_twice_is_none(web: Web) -> None:
    client = await web.client()
    client.send(b"PUT /entry/k HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n")
    client.send(b"Content-Length: 1\r\n\r\n1")
    await refused(web, await client.response(), 415, "unsupported_media_type")


async def test_neither_a_part_of_a_value_nor_an_encoded_one_is_stored(web: Web) -> None:
    """Both would be given back as what they are not."""
    answer = await web.ask("PUT", "/entry/k", b"1", content_range="bytes 0-0/2")
    await refused(web, answer, 400, "bad_request")
    answer = await web.ask("PUT", "/entry/k", PNG, content_type="a/b", content_encoding="gzip")
    said = await refused(web, answer, 415, "unsupported_media_type")
    assert "'gzip'" in said["detail"]
    assert (await web.ask("PUT", "/entry/k", b"1", content_encoding="identity")).status == 201


async def test_values_have_a_size_limit(web: Web) -> None:
    await web.start(service=ServiceLimits(value_bytes=100))
    client = await web.client()
    types = ["application/octet-stream", "image/png", "application/json"]
    for declared in types:
        most = b'"%b"' % (b"x" * 98)
        assert (await client.ask("PUT", "/entry/k", most, content_type=declared)).status < 300
        web.node.requests.clear()
        answer = await client.ask("PUT", "/entry/k", most + b"  x", content_type=declared)
        if declared != "application/json":
            said = await refused(web, answer, 413, "invalid_value")
            assert said["detail"] == "The value has 103 bytes; at most 100 are stored."
    answer = await client.ask("PUT", "/entry/k", b"1" * 101)
    await refused(web, answer, 413, "invalid_value")
    answer = await client.ask("PUT", "/entry/k", b"1" * 100_000)
    await refused(web, answer, 413, "content_too_large")
    await client.closed()


async def test_a_chunked_body_is_a_value(web: Web) -> None:
    client = await web.client()
    client.send(b"PUT /entry/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"2\r\n[1\r\n2\r\n,2\r\n1\r\n]\r\n0\r\n\r\n")
    assert (await client.response()).status == 201
    assert sent(web).value == b"[1,2]"


# What the query and the conditions say


async def test_everything_a_query_can_say(web: Web) -> None:
    query = "namespace=n&w=2&timeout_ms=50&quorum=sloppy&ttl=60"
    assert (await web.ask("PUT", f"/entry?key=a%2Fb&{query}", b"1")).status == 201
    assert sent(web) == Put("n", "a/b", JSON, b"1", None, ANY, 2, 50, "sloppy", 60, 0)
    await web.ask("PUT", f"/entry/k?expires_at={BORN_MS}", b"1")
    assert (sent(web).ttl, sent(web).expires) == (None, BORN_MS)
    await web.ask("PUT", "/entry/k?ttl=null", b"1")
    assert (sent(web).ttl, sent(web).expires) == (0, 0)
    await web.ask("PUT", f"/entry/k?ttl={TTL_S_MAX}", b"1")
    assert sent(web).ttl == TTL_S_MAX


@pytest.mark.parametrize(
    "query",
    [
        "ttl=-1",
        "ttl=0",
        "ttl=1.5",
        "ttl=",
        "ttl=1h",
        f"ttl={TTL_S_MAX + 1}",
        "ttl=99999999999999999999999",
        "ttl=1&ttl=1",
        "ttl=1&expires_at=1",
        "ttl=null&expires_at=1",
        "expires_at=0",
        "expires_at=null",
        f"expires_at={1 << 53}",
        "r=1",
        "w=0",
        "raw=true",
        "encoding=base64",
        "key=other",
        "valueVersion=",
        "valueVersion=x",
        "%",
    ],
)
async def test_queries_that_are_refused(web: Web, query: str) -> None:
    answer = await web.ask("PUT", f"/entry/k?{query}", b"1")
    assert (answer.status, answer.json["outcome"]) == (400, "none")
    assert web.node.requests == []


@pytest.mark.parametrize("path", ["/entry/", "/entry", "/entry/a/b", "/entry/%ff", "/entry/%2"])
async def test_keys_that_are_refused(web: Web, path: str) -> None:
    await refused(web, await web.ask("PUT", path, b"1"), 400, "invalid_key")


@pytest.mark.parametrize("key", [".", "..", "{}", "{7}:cart", "é", "a b", "%"])
async def test_any_key_can_be_put(web: Web, key: str) -> None:
    escaped = "".join(f"%{byte:02X}" for byte in key.encode())
    assert (await web.ask("PUT", f"/entry/{escaped}", b"1")).status == 201
    assert (await web.ask("GET", f"/entry?key={escaped}&raw=true")).body == b"1"
    assert [request.key for request in web.node.requests] == [key, key]


async def test_conditions(web: Web) -> None:
    first = await web.ask("PUT", "/entry/k", b"1", if_none_match="*")
    assert (first.status, sent(web).expect) == (201, ABSENT)
    assert (await web.ask("PUT", "/entry/k", b"2", if_none_match="*")).status == 412
    etag, version = first.fields["etag"], first.json["metadata"]["valueVersion"]
    second = await web.ask("PUT", "/entry/k", b"2", if_match=etag)
    assert (second.status, sent(web).expect) == (200, EXACT)
    assert (await web.ask("PUT", "/entry/k", b"3", if_match=version)).status == 412
    assert (await web.ask("PUT", "/entry/k", b"3", if_match="*")).status == 200
    assert sent(web).expect == PRESENT
    web.node.diverge("k", b"4")
    answer = await web.ask("PUT", f"/entry/k?valueVersion={version}", b"5")
    assert [sibling["value"] for sibling in answer.json["siblings"]] == [5, 4, 3]
    assert [event.actor for event in sent(web).seen or ()] == [ACTOR]


# Raw reading


async def test_a_value_comes_back_as_it_was_sent(web: Web) -> None:
    client = await web.client()
    for declared, body, shown in (
        ("application/json", b'{"a": 1.50}', "application/json"),
        (FORM, b'"x"', "application/json"),
        ("application/octet-stream", PNG, "application/octet-stream"),
        ("text/html; charset=utf-8", b"<script>1</script>", "text/html; charset=utf-8"),
        ("text/css", b"", "text/css"),
    ):
        etag = (await client.ask("PUT", "/entry/k", body, content_type=declared)).fields["etag"]
        raw = await client.ask("GET", "/entry/k?raw=true", accept="*/*")
        assert (raw.status, raw.body, raw.fields["content-type"]) == (200, body, shown)
        assert raw.fields["etag"] == etag
        assert raw.fields["x-content-type-options"] == "nosniff"
        assert raw.fields["content-security-policy"] == "default-src 'none'; sandbox"
        assert raw.fields["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in raw.fields if name.startswith("kvorum-")]
        head = await client.ask("HEAD", "/entry/k?raw=true")
        assert (head.body, head.fields["content-length"]) == (b"", str(len(body)))
        assert head.fields["content-type"] == shown
        unchanged = await client.ask("GET", "/entry/k?raw=true", if_none_match=etag)
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert "value" in (await client.ask("GET", "/entry/k?raw=false")).json


async def test_of_siblings_the_latest_is_given_and_their_number_told(web: Web) -> None:
    await web.ask("PUT", "/entry/k", b"ours", content_type="text/plain")
    web.node.diverge("k", b'"theirs"')
    raw = await web.ask("GET", "/entry/k?raw=true")
    assert (raw.body, raw.fields["content-type"]) == (b'"theirs"', "application/json")
    assert raw.fields["kvorum-siblings"] == "2"
    read = await web.ask("GET", "/entry/k")
    assert raw.fields["etag"] == read.fields["etag"]
    types = [sibling["metadata"].get("contentType") for sibling in read.json["siblings"]]
    assert types == [None, "text/plain"]
    assert (await web.ask("PUT", "/entry/k", b"1", if_match=raw.fields["etag"])).status == 200
    assert "kvorum-siblings" not in (await web.ask("GET", "/entry/k?raw=true")).fields


async def test_lifetimes_and_stand_ins_are_told(web: Web) -> None:
    await web.ask("PUT", f"/entry/k?expires_at={BORN_MS + 5}", b"1")
    web.node.hinted = 1
    fields = (await web.ask("GET", "/entry/k?raw=true")).fields
    assert fields["kvorum-expires-at"] == str(BORN_MS + 5)
    assert fields["kvorum-hints"] == "1"


async def test_errors_of_raw_reads_are_problems(web: Web) -> None:
    answer = await web.ask("GET", "/entry/k?raw=true")
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert answer.fields["content-type"] == "application/problem+json"
    await web.put("k", b"1")
    answer = await web.ask("GET", "/entry/k?raw=true", if_match='"x"')
    assert (answer.status, answer.json["code"]) == (412, "precondition_failed")
    for value in ("", "1", "True", "yes"):
        answer = await web.ask("GET", f"/entry/k?raw={value}")
        assert (answer.status, answer.json["code"]) == (400, "bad_request")
        assert "true or false" in answer.json["detail"]


async def test_a_fault_in_a_raw_read_is_told(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeNode, "result", lambda *_: "no result at all")
    answer = await web.ask("GET", "/entry/k?raw=true")
    assert (answer.status, answer.json["code"]) == (500, "internal_error")


# Line ends


@pytest.mark.parametrize("accept", ["*/*", "text/html, */*;q=0.8", "application/json"])
async def test_json_ends_in_a_line_end_for_whoever_accepts_what_curl_does(
    web: Web, accept: str
) -> None:
    client = await web.client()
    await client.ask("PUT", "/entry/k", b"1")
    for method, path in (("GET", "/entry/k"), ("GET", "/entry/l"), ("GET", "/status")):
        plain = await client.ask(method, path)
        for _ in range(3):
            answer = await client.ask(method, path, accept=accept)
            assert answer.body == plain.body + b"\n"
        assert (await client.ask(method, path)).body == plain.body
        head = await client.ask("HEAD", path, accept=accept)
        assert head.fields["content-length"] == str(len(plain.body) + 1)
    assert (await client.ask("PUT", "/entry/k", b"2", accept=accept)).body.endswith(b"}\n")
    assert (await client.ask("GET", "/entry/k?raw=true", accept=accept)).body == b"2"
    assert not (await client.ask("GET", "/entry/k", accept="text/html")).body.endswith(b"\n")
    client.send(request("GET", "/entry/k", accept=accept, connection="Upgrade", upgrade="h2c"))
    assert (await client.response()).body.endswith(b"}\n")


async def test_a_request_refused_by_its_head_ends_in_one_too(web: Web) -> None:
    client = await web.client()
    answer = await client.ask("POST", "/entry", b"a=1", content_type=FORM, accept="*/*")
    assert answer.status == 415
    assert answer.body.endswith(b"}\n")
