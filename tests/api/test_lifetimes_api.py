"""Lifetimes over HTTP: metadata.ttl and expiresAt, and PATCH."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.node import BORN_MS
from kit.web import Response, Web

from kvorum.api.entry_body import decode_entry
from kvorum.model.errors import RequestError
from kvorum.model.request import ANY, EXACT, PRESENT, Put, Touch
from kvorum.model.topology import TTL_S_MAX

MOMENT = BORN_MS + 60_000


async def put(web: Web, **metadata: Any) -> Response:
    body = {"key": "k", "value": 1, "metadata": metadata}
    return await web.ask("POST", "/entry", json.dumps(body).encode())


async def patch(web: Web, text: str, query: str = "", **fields: str) -> Response:
    return await web.ask("PATCH", f"/entry/k{query}", text.encode(), **fields)


def asked(web: Web) -> tuple[int | None, int]:
    request = web.node.requests[-1]
    assert isinstance(request, Put | Touch)
    return request.ttl, request.expires


@pytest.mark.parametrize(
    ("metadata", "wanted"),
    [
        ({}, (None, 0)),
        ({"ttl": None}, (0, 0)),
        ({"ttl": 1}, (1, 0)),
        ({"ttl": TTL_S_MAX}, (TTL_S_MAX, 0)),
        ({"expiresAt": MOMENT}, (None, MOMENT)),
    ],
)
async def test_what_a_put_says_of_its_lifetime(
    web: Web, metadata: dict[str, Any], wanted: tuple[int | None, int]
) -> None:
    assert (await put(web, **metadata)).status == 201
    assert asked(web) == wanted
    items = {"entries": [{"key": "k", "value": 1, "metadata": metadata}]}
    await web.ask("POST", "/entries", json.dumps(items).encode())
    assert asked(web) == wanted


async def test_answers_say_when_an_entry_expires(web: Web) -> None:
    assert (await put(web, ttl=60)).json["metadata"]["expiresAt"] == MOMENT
    assert (await web.ask("GET", "/entry/k")).json["metadata"]["expiresAt"] == MOMENT
    listed = (await web.ask("GET", "/entries")).json["entries"]
    assert [entry["metadata"]["expiresAt"] for entry in listed] == [MOMENT]
    assert "expiresAt" not in (await put(web, ttl=None)).json["metadata"]


async def test_each_sibling_says_when_it_expires(web: Web) -> None:
    await put(web, ttl=60)
    web.node.diverge("k", b"2")
    read = (await web.ask("GET", "/entry/k")).json
    assert "expiresAt" not in read["metadata"]
    assert [one["metadata"].get("expiresAt") for one in read["siblings"]] == [None, MOMENT]


WRONG = [
    '{"ttl": 0}',
    '{"ttl": -1}',
    f'{{"ttl": {TTL_S_MAX + 1}}}',
    '{"ttl": 1' + 400 * "0" + "}",
    '{"ttl": 1' + 5000 * "0" + "}",
    '{"ttl": 1.5}',
    '{"ttl": "60"}',
    '{"ttl": true}',
    '{"ttl": [60]}',
    '{"ttl": 60, "expiresAt": 1800000000000}',
    '{"ttl": null, "expiresAt": 1800000000000}',
    '{"expiresAt": 0}',
    '{"expiresAt": -5}',
    '{"expiresAt": 1e30}',
    '{"expiresAt": 9007199254740992}',
    '{"expiresAt": "2030-01-01"}',
    '{"ttl": 1, "ttl": 2}',
]


@pytest.mark.parametrize("metadata", WRONG)
async def test_a_wrong_lifetime_is_refused_and_changes_nothing(web: Web, metadata: str) -> None:
    before = len(web.node.requests)
    body = f'{{"key": "k", "value": 1, "metadata": {metadata}}}'
    answers = [
        await web.ask("POST", "/entry", body.encode()),
        await patch(web, f'{{"metadata": {metadata}}}'),
    ]
    for answer in answers:
        assert answer.status == 400, answer
        assert answer.json["code"] == "bad_request"
        assert answer.json["outcome"] == "none"
    items = (await web.ask("POST", "/entries", f'{{"entries": [{body}]}}'.encode())).json
    error = items["error"] if "code" in items else items["entries"][0]["error"]
    assert error["status"] == 400
    assert len(web.node.requests) == before


async def test_the_range_is_named(web: Web) -> None:
    refused = (await put(web, ttl=TTL_S_MAX + 1)).json
    assert refused["wanted"] == f"1..{TTL_S_MAX}"
    assert refused["got"] == str(TTL_S_MAX + 1)


@given(st.integers(1, TTL_S_MAX), st.sampled_from(["", " ", "\n  "]))
def test_a_member_given_twice_is_noticed_however_short(ttl: int, space: str) -> None:
    body = '{"key":"k","value":1,"metadata":{"ttl":%s%d%s}}'
    assert decode_entry((body % (space, ttl, "")).encode()).lifetime == (ttl, 0)
    with pytest.raises(RequestError, match="given twice"):
        decode_entry((body % (space, ttl, f',{space}"ttl":1')).encode())


# PATCH


async def test_a_touch_answers_with_the_new_metadata(web: Web) -> None:
    first = await put(web)
    touched = await patch(web, '{"metadata": {"ttl": 60}}')
    assert touched.status == 200
    assert touched.json["metadata"]["expiresAt"] == MOMENT
    assert touched.fields["etag"] == f'"{touched.json["metadata"]["valueVersion"]}"'
    assert touched.fields["etag"] != first.fields["etag"]
    assert "value" not in touched.json
    assert (await web.ask("GET", "/entry/k")).json["value"] == 1
    assert "expiresAt" not in (await patch(web, '{"metadata": {"ttl": null}}')).json["metadata"]


async def test_a_touch_of_nothing_is_not_found(web: Web) -> None:
    answer = await patch(web, '{"metadata": {"ttl": 60}}')
    assert (answer.status, answer.json["code"]) == (404, "not_found")


async def test_a_touch_takes_conditions_versions_and_options(web: Web) -> None:
    version = (await put(web)).json["metadata"]["valueVersion"]
    body = json.dumps({"metadata": {"ttl": 60, "valueVersion": version}})
    await patch(web, body, if_match="*", query="?w=2&timeout_ms=50&quorum=sloppy")
    request = web.node.requests[-1]
    assert isinstance(request, Touch)
    assert request.seen is not None
    assert (request.expect, request.w, request.timeout_ms, request.quorum) == (
        PRESENT,
        2,
        50,
        "sloppy",
    )
    await patch(web, '{"metadata": {"ttl": 60}}', if_match=f'"{version}"')
    request = web.node.requests[-1]
    assert isinstance(request, Touch)
    assert request.expect == EXACT
    assert (await patch(web, '{"metadata": {"ttl": 60}}', if_match=f'"{version}"')).status == 412
    await patch(web, '{"metadata": {"ttl": 60}}', query="?namespace=other")
    request = web.node.requests[-1]
    assert isinstance(request, Touch)
    assert (request.namespace, request.expect, request.seen) == ("other", ANY, None)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        '{"metadata": {}}',
        '{"metadata": null}',
        '{"metadata": {"ttl": 5, "encoding": "x"}}',
        '{"value": 1, "metadata": {"ttl": 5}}',
        '{"metadata": {"ttl": 5}, "metadata": {"ttl": 5}}',
    ],
)
async def test_a_touch_says_a_lifetime_and_no_more(web: Web, body: str) -> None:
    await put(web)
    assert (await patch(web, body)).status == 400
    assert isinstance(web.node.requests[-1], Put)
