"""What is done to many keys in one request: delete, touch, and reads without values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.node import BORN_MS, OTHER, STRANGER
from kit.web import Response, Web

from kvorum.api.limits import ApiLimits
from kvorum.model.record import JSON, Event, write
from kvorum.model.request import Delete, Failure, Get, Touch
from kvorum.service.access import SamePolicy
from kvorum.service.limits import ServiceLimits

WAYS = [("DELETE", "/entries"), ("POST", "/entries/delete")]
both_ways = pytest.mark.parametrize(("method", "path"), WAYS)


async def ask(web: Web, path: str, document: Any, method: str = "POST", **fields: str) -> Response:
    return await web.ask(method, path, json.dumps(document).encode(), **fields)


def statuses(answer: Response) -> list[int]:
    assert answer.status == 200, answer
    return [entry["status"] for entry in answer.json["entries"]]


# Deleting


@both_ways
async def test_many_are_deleted_in_order(web: Web, method: str, path: str) -> None:
    before = [(await web.put(key, b"1")).json["metadata"] for key in ("a", "é")]
    answer = await ask(web, path, {"keys": ["é", "none", "", "a"]}, method)
    assert statuses(answer) == [200, 404, 400, 200]
    shown = answer.json["entries"]
    assert [entry["key"] for entry in shown] == ["é", "none", "", "a"]
    assert shown[0] == {"status": 200, "key": "é", "metadata": before[1]}
    assert shown[3]["metadata"] == before[0]
    assert (shown[1]["error"]["code"], shown[2]["error"]["code"]) == ("not_found", "invalid_key")
    assert not [r for r in web.node.records.values() if r.versions]


@both_ways
async def test_options_of_deleting_many(web: Web, method: str, path: str) -> None:
    document = {"keys": ["a"], "namespace": "n"}
    await ask(web, path + "?w=2&timeout_ms=9&quorum=sloppy", document, method)
    assert web.node.requests == [Delete("n", "a", w=2, timeout_ms=9, quorum="sloppy")]


async def test_a_delete_as_curl_sends_it(web: Web) -> None:
    await web.put("a", b"1")
    form = "application/x-www-form-urlencoded"
    answer = await ask(web, "/entries", {"keys": ["a"]}, "DELETE", content_type=form)
    assert statuses(answer) == [200]
    client = await web.client()
    client.send(b"DELETE /entries HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b'e\r\n{"keys":["a"]}\r\n0\r\n\r\n')
    assert statuses(await client.response()) == [404]
    assert (await client.ask("GET", "/status")).status == 200


async def test_siblings_are_deleted_and_shown_without_values(web: Web) -> None:
    await web.put("a", b'"ours"')
    web.node.diverge("a", b'"theirs"')
    answer = await ask(web, "/entries", {"keys": ["a"]}, "DELETE")
    [shown] = answer.json["entries"]
    assert [list(sibling) for sibling in shown["siblings"]] == [["metadata"], ["metadata"]]
    assert b"ours" not in answer.body
    assert not web.node.record("a").versions


async def test_what_cannot_be_read_is_deleted_and_said_so(web: Web) -> None:
    web.node.damaged = True
    [shown] = (await ask(web, "/entries", {"keys": ["a"]}, "DELETE")).json["entries"]
    assert shown["status"] == 200
    assert shown["metadata"]["unread"] is True
    assert "value" not in shown


async def test_failures_of_the_node_are_the_keys_own(web: Web) -> None:
    web.node.failure = Failure("quorum_not_met", "wanted 2", "none", {"needed": 2})
    for path, more in (("/entries/delete", {}), ("/entries/touch", {"metadata": {"ttl": 5}})):
        answer = await ask(web, path, {"keys": ["a", "b"]} | more)
        assert statuses(answer) == [503, 503]
        assert answer.json["entries"][1]["error"]["needed"] == 2


async def test_a_list_of_deletes_goes_a_window_at_a_time_and_gives_its_places_back(
    web: Web,
) -> None:
    await web.start(api=ApiLimits(list_window=2), service=ServiceLimits(in_flight=2))
    for _ in range(3):
        keys = [f"k{i}" for i in range(9)]
        assert statuses(await ask(web, "/entries", {"keys": keys}, "DELETE")) == [404] * 9
    web.node.holding = True
    client = await web.client()
    body = json.dumps({"keys": keys}).encode()
    client.send(b"DELETE /entries HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n")
    client.send(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await web.until(lambda: len(web.node.held) == 2)
    assert (await web.ask("GET", "/entry/a")).status == 503
    for _ in keys:
        await web.until(lambda: web.node.held)
        assert len(web.node.held) <= 2
        web.node.answer(-1)
    assert statuses(await client.response()) == [404] * 9


# Touching


async def test_many_are_touched_in_order(web: Web) -> None:
    for key in ("a", "b"):
        await web.put(key, b"1")
    document = {"keys": ["b", "none", "a", ""], "metadata": {"expiresAt": BORN_MS + 5}}
    answer = await ask(web, "/entries/touch", document)
    assert statuses(answer) == [200, 404, 200, 400]
    shown = answer.json["entries"]
    read = (await web.ask("GET", "/entry/b")).json
    assert shown[0] == {"status": 200, "key": "b", "metadata": read["metadata"]}
    assert shown[0]["metadata"]["expiresAt"] == BORN_MS + 5


@pytest.mark.parametrize(
    ("metadata", "ttl", "expires"),
    [({"ttl": 60}, 60, 0), ({"ttl": None}, 0, 0), ({"expiresAt": BORN_MS}, None, BORN_MS)],
)
async def test_options_of_touching_many(
    web: Web, metadata: dict[str, int | None], ttl: int | None, expires: int
) -> None:
    document = {"keys": ["a"], "namespace": "n", "metadata": metadata}
    await ask(web, "/entries/touch?w=2&timeout_ms=9&quorum=strict", document)
    touch = Touch("n", "a", ttl, expires, w=2, timeout_ms=9, quorum="strict")
    assert web.node.requests == [touch]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        None,
        {"ttl": 0},
        {"ttl": -1},
        {"ttl": 1.5},
        {"ttl": "60"},
        {"ttl": 10**10},
        {"ttl": 1, "expiresAt": 1},
        {"expiresAt": 0},
        {"expiresAt": 1 << 53},
        {"ttl": 1, "valueVersion": "x"},
    ],
)
async def test_lifetimes_that_are_wrong(web: Web, metadata: Any) -> None:
    answer = await ask(web, "/entries/touch", {"keys": ["a"], "metadata": metadata})
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    assert (await ask(web, "/entries/touch", {"keys": ["a"]})).status == 400
    assert web.node.requests == []


# Reading without values


async def test_what_is_there_is_told_without_values(web: Web) -> None:
    await web.put("a", b'"secret"')
    await web.ask("PUT", "/entry/b", b"secret", content_type="text/plain")
    await web.put("c", b"1")
    await web.ask("DELETE", "/entry/c")
    for _ in range(2):
        answer = await ask(web, "/entries/get?values=false", {"keys": ["b", "none", "a", "c", ""]})
        assert statuses(answer) == [200, 404, 200, 404, 400]
        shown = answer.json["entries"]
        one = (await web.ask("GET", "/entry/a")).json
        assert shown[2] == {"status": 200, "key": "a", "metadata": one["metadata"]}
        assert shown[0]["metadata"]["contentType"] == "text/plain"
        assert shown[3]["error"]["valueVersion"]
        assert b"secret" not in answer.body
    with_values = await ask(web, "/entries/get?values=true", {"keys": ["a"]})
    assert with_values.json["entries"][0]["value"] == "secret"
    assert isinstance(web.node.requests[-1], Get)


async def test_siblings_and_stand_ins_are_told_without_values(web: Web) -> None:
    await web.put("a", b"1")
    web.node.diverge("a", b"2")
    web.node.hinted = 1
    [shown] = (await ask(web, "/entries/get?values=false", {"keys": ["a"]})).json["entries"]
    assert [list(sibling) for sibling in shown["siblings"]] == [["metadata"], ["metadata"]]
    assert (shown["metadata"]["strict"], shown["metadata"]["hints"]) == (False, 1)


# What is wrong


@pytest.mark.parametrize(("method", "path"), [*WAYS, ("POST", "/entries/get?values=false")])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":"a"}',
        b'{"keys":[1]}',
        b'{"keys":[null]}x',
        b'{"keys":["a"],"keys":["a"]}',
        b'{"keys":["a"],"x":1}',
        b'{"keys":["\xff"]}',
        b'{"keys":["a"],"namespace":"a b"}',
        b'{"keys":["a"],"metadata":{"ttl":1}}',
        b'{"keys":%b}' % (b"[" * 100_000),
        b'{"keys":[%b]}' % b",".join([b'"a"'] * 1001),
    ],
)
async def test_lists_that_are_wrong_as_a_whole(
    web: Web, method: str, path: str, body: bytes
) -> None:
    answer = await web.ask(method, path, body)
    assert answer.status == 400
    assert answer.json["code"] in ("bad_request", "invalid_value")
    assert web.node.requests == []


@pytest.mark.parametrize(
    "query", ["values=", "values=0", "values=true&values=true", "raw=true", "w=1", "namespace=n"]
)
async def test_queries_that_are_refused(web: Web, query: str) -> None:
    answer = await ask(web, f"/entries/get?{query}", {"keys": ["a"]})
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    assert web.node.requests == []


@both_ways
async def test_conditions_and_long_bodies_are_refused(web: Web, method: str, path: str) -> None:
    answer = await ask(web, path, {"keys": ["a"]}, method, if_match="*")
    assert (answer.status, answer.json["code"]) == (400, "bad_request")
    answer = await web.ask(method, path, b" " * ((8 << 20) + 1))
    assert (answer.status, answer.json["code"]) == (413, "content_too_large")
    assert web.node.requests == []


async def test_each_key_needs_its_permission(web: Web) -> None:
    await web.start(policy=SamePolicy(()))
    for path, more in (("/entries/delete", {}), ("/entries/touch", {"metadata": {"ttl": 5}})):
        answer = await ask(web, path, {"keys": ["a", "b"]} | more)
        assert statuses(answer) == [403, 403]
    assert web.node.requests == []


async def test_a_record_of_many_actors_is_described(web: Web) -> None:
    record = write(web.node.record("a"), (), Event(OTHER, 1, BORN_MS), JSON, b"1")
    record = write(record, record.context, Event(STRANGER, 1, BORN_MS + 1), JSON, b"2")
    web.node.records["default", "a"] = record
    [shown] = (await ask(web, "/entries/get?values=false", {"keys": ["a"]})).json["entries"]
    assert len(shown["metadata"]["clock"]) == 2
