"""POST /entries, POST /entries/get and GET /entries: many entries, each with its own outcome."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.web import Response, Web, request

from kvorum.api.limits import ApiLimits
from kvorum.model.record import JSON
from kvorum.model.request import ANY, Failure, Get, Put
from kvorum.service.limits import ServiceLimits


async def post(web: Web, path: str, document: Any, **fields: str) -> Response:
    return await web.ask("POST", path, json.dumps(document).encode(), **fields)


def entries(*keys: str) -> dict[str, Any]:
    return {"entries": [{"key": key, "value": key} for key in keys]}


def statuses(response: Response) -> list[int]:
    assert response.status == 200, response
    return [entry["status"] for entry in response.json["entries"]]


# Storing many


async def test_many_are_stored_in_order(web: Web) -> None:
    answer = await post(web, "/entries", entries("a", "b", "a"))
    assert statuses(answer) == [201, 201, 200]
    for key, entry in zip("aba", answer.json["entries"], strict=True):
        assert entry["metadata"]["clock"]
        if key == "b":
            read = (await web.ask("GET", "/entry/b")).json
            assert entry == {"status": 201, "metadata": read["metadata"]}


async def test_an_item_that_is_wrong_fails_alone(web: Web) -> None:
    items = [
        b'{"key":"a","value":1}',
        b'{"key":"","value":1}',
        b'{"key":"b"}',
        b"17",
        b'{"key":"c","value":%b}' % (b"[" * 200 + b"]" * 200),
        b'{"key":"d","value":1,"metadata":{"valueVersion":"AAAA"}}',
        b'{"key":"e","key":"f","value":1}',
        b'{"key":"g","value":1,"namespace":"no such name"}',
        b'{"key":"h","value":"aGk=","metadata":{"encoding":"base64"}}',
    ]
    answer = await web.ask("POST", "/entries", b'{"entries":[%b]}' % b",".join(items))
    assert statuses(answer) == [201, 400, 400, 400, 400, 400, 400, 400, 201]
    codes = [entry.get("error", {}).get("code") for entry in answer.json["entries"]]
    assert codes == [
        None,
        "invalid_key",
        "bad_request",
        "bad_request",
        "invalid_value",
        "invalid_version",
        "bad_request",
        "bad_request",
        None,
    ]
    assert [request.key for request in web.node.requests] == ["a", "h"]


async def test_a_version_in_an_item(web: Web) -> None:
    version = (await web.put("a", b"1")).json["metadata"]["valueVersion"]
    web.node.diverge("a", b"2")
    item = {"key": "a", "value": 3, "metadata": {"valueVersion": version}}
    answer = await post(web, "/entries", {"entries": [item]})
    assert statuses(answer) == [200]
    assert [s["value"] for s in answer.json["entries"][0]["siblings"]] == [3, 2]


async def test_options_reach_every_item_and_its_own_namespace_goes_first(web: Web) -> None:
    document = entries("a", "b")
    document["entries"][1]["namespace"] = "own"
    await post(web, "/entries?w=2&timeout_ms=7&namespace=shared", document)
    assert web.node.requests == [
        Put("shared", "a", JSON, b'"a"', None, ANY, 2, 7),
        Put("own", "b", JSON, b'"b"', None, ANY, 2, 7),
    ]


async def test_failures_of_the_node_are_the_items_own(web: Web) -> None:
    web.node.failure = Failure("quorum_not_met", "wanted 2", "unknown", {"needed": 2, "got": 1})
    answer = await post(web, "/entries", entries("a"))
    assert statuses(answer) == [503]
    error = answer.json["entries"][0]["error"]
    assert (error["code"], error["outcome"], error["got"]) == ("quorum_not_met", "unknown", 1)


@pytest.mark.parametrize("path", ["/entries", "/entries/get"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"entries":{}}',
        b'{"keys":"a"}',
        b'{"keys":[1]}',
        b'{"keys":[],"x":1}',
        b'{"entries":[],"x":1}',
        b'{"entries":[{"key":"a","value":1}',
        b'{"entries":[{"key":"a","value":1}],"entries":[]}',
        b'{"keys":["a"],"keys":["a"]}',
        b'{"entries":[{"key":"a","value":"\xff"}]}',
        b'{"keys":["\xff"]}',
        b'{"keys":["a"],"namespace":"a b"}',
        b'{"entries":%b}' % (b"[" * 100_000),
        b'{"keys":%b}' % (b"[" * 100_000),
    ],
)
async def test_lists_that_are_wrong_as_a_whole(web: Web, path: str, body: bytes) -> None:
    answer = await web.ask("POST", path, body)
    assert answer.status == 400
    assert answer.json["code"] in ("bad_request", "invalid_value")
    assert web.node.requests == []


async def test_empty_lists(web: Web) -> None:
    assert (await post(web, "/entries", {"entries": []})).json == {"entries": []}
    assert (await post(web, "/entries/get", {"keys": []})).json == {"entries": []}


async def test_lists_that_are_too_long(web: Web) -> None:
    await web.start(api=ApiLimits(list_items=3))
    assert (await post(web, "/entries", entries(*"abcd"))).status == 400
    assert (await post(web, "/entries/get", {"keys": list("abcd")})).status == 400
    assert statuses(await post(web, "/entries/get", {"keys": list("abc")})) == [404, 404, 404]


@pytest.mark.parametrize("fields", [{"if_match": "*"}, {"if_none_match": "*"}])
async def test_conditions_have_no_meaning_for_lists(web: Web, fields: dict[str, str]) -> None:
    assert (await post(web, "/entries", entries("a"), **fields)).status == 400
    assert web.node.requests == []


async def test_a_list_goes_to_the_node_a_window_at_a_time(web: Web) -> None:
    await web.start(api=ApiLimits(list_window=3))
    web.node.holding = True
    client = await web.client()
    keys = [f"k{i}" for i in range(8)]
    body = json.dumps(entries(*keys)).encode()
    length = str(len(body))
    client.send(request("POST", "/entries", content_type="application/json", content_length=length))
    client.send(body)
    most = 0
    for _ in keys:
        await web.until(lambda: web.node.held)
        most = max(most, len(web.node.held))
        web.node.answer(-1)  # the last first: order is kept by place, not by time
    answer = await client.response()
    assert most == 3
    assert statuses(answer) == [201] * 8
    counters = [entry["metadata"]["clock"][0][1] for entry in answer.json["entries"]]
    assert [r.key for r in web.node.requests] == keys
    assert counters[2] == 1  # k2 was answered first of the first window


async def test_a_list_gives_its_places_back(web: Web) -> None:
    await web.start(service=ServiceLimits(in_flight=3))
    for _ in range(3):
        assert (await post(web, "/entries", entries("a", "", "b"))).status == 200
        assert (await post(web, "/entries/get", {"keys": ["", "a", "b"]})).status == 200
    assert (await post(web, "/entries", entries(*"abcd"))).status == 503


# Reading many


async def test_many_are_read_in_order(web: Web) -> None:
    await web.put("a", b'{"x":1.0}')
    await web.put("b", b"2")
    answer = await post(web, "/entries/get", {"keys": ["b", "none", "a", "", "b"]})
    assert statuses(answer) == [200, 404, 200, 400, 200]
    shown = answer.json["entries"]
    assert [entry["key"] for entry in shown] == ["b", "none", "a", "", "b"]
    one = (await web.ask("GET", "/entry/a")).json
    assert shown[2] == {"status": 200, "key": "a", **one}
    assert b'"value":{"x":1.0}' in answer.body
    assert (shown[1]["error"]["code"], shown[3]["error"]["code"]) == ("not_found", "invalid_key")


async def test_options_of_reading_many(web: Web) -> None:
    document = {"keys": ["é"], "namespace": "n"}
    await post(web, "/entries/get?r=2&timeout_ms=9", document)
    assert web.node.requests == [Get("n", "é", 2, 9)]


async def test_a_deleted_entry_in_a_list_shows_its_version(web: Web) -> None:
    await web.put("a", b"1")
    await web.ask("DELETE", "/entry/a")
    answer = await post(web, "/entries/get", {"keys": ["a"]})
    assert answer.json["entries"][0]["error"]["valueVersion"]


async def test_an_answer_does_not_grow_without_bound(web: Web) -> None:
    await web.start(api=ApiLimits(list_answer_bytes=30_000, list_window=2))
    for i in range(10):
        await web.put(f"k{i}", b'"%b"' % (b"x" * 10_000))
    web.node.requests.clear()
    answer = await post(web, "/entries/get", {"keys": [f"k{i}" for i in range(10)]})
    shown = statuses(answer)
    assert shown[:3] == [200] * 3
    assert shown[4:] == [413] * 6
    errors = [entry["error"] for entry in answer.json["entries"][4:]]
    assert {error["code"] for error in errors} == {"answer_too_long"}
    assert all("another request" in error["advice"] for error in errors)
    assert len(web.node.requests) < 6
    assert len(answer.body) < 60_000


async def test_a_write_that_was_made_is_never_told_as_too_long(web: Web) -> None:
    await web.start(api=ApiLimits(list_answer_bytes=10, list_window=2))
    answer = await post(web, "/entries", entries(*"abcd"))
    shown = statuses(answer)
    assert shown.count(201) == len(web.node.records)
    assert shown == [201, 201, 413, 413]
    assert answer.json["entries"][2]["error"]["outcome"] == "none"


# Paging


async def page_through(web: Web, query: str) -> tuple[list[dict[str, Any]], int]:
    """(all entries, how many pages)."""
    found: list[dict[str, Any]] = []
    pages, cursor = 0, None
    while pages == 0 or cursor is not None:
        tail = f"&cursor={cursor}" if cursor else ""
        page = (await web.ask("GET", f"/entries?{query}{tail}")).json
        found += page["entries"]
        cursor = page["cursor"]
        pages += 1
    return found, pages


async def test_pages_show_every_live_entry_once(web: Web) -> None:
    for i in range(7):
        await web.put(f"k{i}", str(i).encode())
    await web.ask("DELETE", "/entry/k3")
    found, pages = await page_through(web, "limit=2")
    assert [entry["key"] for entry in found] == ["k0", "k1", "k2", "k4", "k5", "k6"]
    assert pages == 3
    one = (await web.ask("GET", "/entry/k4")).json
    assert found[3] == {"key": "k4", **one}


async def test_a_namespace_without_entries_is_one_empty_page(web: Web) -> None:
    await web.put("a", b"1")
    answer = await web.ask("GET", "/entries?namespace=other")
    assert answer.json == {"entries": [], "cursor": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "cursor=", "cursor=AAAA", "r=1"])
async def test_pages_asked_for_wrongly(web: Web, query: str) -> None:
    answer = await web.ask("GET", f"/entries?{query}")
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_a_cursor_works_for_its_own_namespace_only(web: Web) -> None:
    await web.put("a", b"1")
    await web.put("b", b"1")
    cursor = (await web.ask("GET", "/entries?limit=1")).json["cursor"]
    assert (await web.ask("GET", f"/entries?cursor={cursor}")).status == 200
    assert (await web.ask("GET", f"/entries?cursor={cursor}&namespace=n")).status == 400
    version = (await web.ask("GET", "/entry/a")).json["metadata"]["valueVersion"]
    assert (await web.ask("GET", f"/entries?cursor={version}")).status == 400


async def test_a_scan_that_fails(web: Web) -> None:
    web.node.failure = Failure("timeout", "too late", "none", {})
    assert (await web.ask("GET", "/entries")).status == 504
