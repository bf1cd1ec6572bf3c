"""Requests are read back with another HTTP parser and another JSON decoder."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import httptools
import pytest
from bench_plans import make_plan

from kvorum.bench.requests import Requests, version_in
from kvorum.client.security import Security
from kvorum.model.errors import ProtocolError


@dataclass
class Parsed:
    url: bytes = b""
    method: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    complete: int = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete += 1


def parse(request: bytes) -> Parsed:
    parsed = Parsed()
    parser = httptools.HttpRequestParser(parsed)
    parser.feed_data(request)
    parsed.method = parser.get_method()
    assert parsed.complete == 1
    return parsed


def test_get() -> None:
    parsed = parse(Requests(make_plan()).get("key00000007"))
    assert (parsed.method, parsed.url, parsed.body) == (b"GET", b"/entry/key00000007", b"")
    assert [value for name, value in parsed.headers if name == b"host"] == [b"127.0.0.1:7400"]


def test_put() -> None:
    parsed = parse(Requests(make_plan()).put("key00000007", "abc"))
    assert (parsed.method, parsed.url) == (b"POST", b"/entry")
    assert (b"content-type", b"application/json") in parsed.headers
    assert json.loads(parsed.body) == {"key": "key00000007", "value": "abc"}


def test_replace_carries_the_version_whatever_it_is_made_of() -> None:
    version = 'odd "version" \\ é'
    parsed = parse(Requests(make_plan(namespace="tests")).replace("k", "abc", version))
    assert json.loads(parsed.body) == {
        "key": "k",
        "value": "abc",
        "metadata": {"valueVersion": version},
        "namespace": "tests",
    }


def test_namespace_and_quorums_go_where_the_api_wants_them() -> None:
    requests = Requests(make_plan(namespace="tests", read_quorum=1, write_quorum=3))
    assert parse(requests.get("k")).url == b"/entry/k?namespace=tests&r=1"
    put = parse(requests.put("k", "v"))
    assert put.url == b"/entry?w=3"
    assert json.loads(put.body)["namespace"] == "tests"


def test_each_request_says_who_asks() -> None:
    requests = Requests(make_plan(security=Security(user="ada", password="p")))
    for request in (requests.get("k"), requests.put("k", "v"), requests.replace("k", "v", "1")):
        assert (b"authorization", b"Basic YWRhOnA=") in parse(request).headers
    assert b"uthorization" not in Requests(make_plan()).get("k")


def test_the_version_of_an_entry() -> None:
    body: dict[str, Any] = {"value": 1, "metadata": {"valueVersion": "v1", "hash": "h"}}
    assert version_in(json.dumps(body).encode()) == "v1"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"metadata":{}}', b"\xff", b'{"metadata":1}'])
def test_an_entry_without_version_is_not_what_was_asked(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="valueVersion"):
        version_in(body)
