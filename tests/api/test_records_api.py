"""POST /records and GET /records: records as they are, in and out."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from kit.web import Web

from kvorum.model.errors import QuorumError
from kvorum.model.portable_record import from_portable, to_portable
from kvorum.model.record import EMPTY, JSON, Event, Record, write
from kvorum.model.request import Failure, Unreadable

RECORD = write(EMPTY, (), Event(7, 1, 1000), JSON, b'"x"', 5)


def item(key: str, record: Record = RECORD, **more: str) -> dict[str, str]:
    return {"key": key, "record": base64.b64encode(to_portable(key, record)).decode(), **more}


async def post(web: Web, items: list[Any], query: str = "") -> Any:
    body = msgspec.json.encode({"records": items})
    return await web.ask("POST", f"/records{query}", body)


async def test_records_go_in(web: Web) -> None:
    answer = await post(web, [item("a"), item("ä", EMPTY, namespace="other")], "?w=2")
    assert answer.status == 200
    assert answer.json == {"records": [{"status": 200}, {"status": 200}]}
    assert web.node.ingested == [("default", "a", RECORD, 2), ("other", "ä", EMPTY, 2)]


async def test_each_succeeds_or_fails_by_itself(web: Web) -> None:
    damaged = {**item("b"), "record": item("c")["record"]}
    web.node.unable["refused"] = Failure.of(QuorumError("wanted 2, got 1", outcome="unknown"))
    items = [item("refused"), damaged, {"key": "k", "record": "?"}, {"key": "k"}, item("a")]
    answer = await post(web, [*items, item("x", namespace="a b")])
    outcomes = answer.json["records"]
    assert [one["status"] for one in outcomes] == [503, 400, 400, 400, 200, 400]
    assert outcomes[0]["error"]["outcome"] == "unknown"
    assert outcomes[1]["error"]["code"] == "invalid_value"
    assert [key for _, key, _, _ in web.node.ingested] == ["refused", "a"]


async def test_a_record_that_names_a_member_twice_is_refused(web: Web) -> None:
    text = msgspec.json.encode(item("a"))
    twice = [b'{"key":"b",' + text[1:], text[:-1] + b',"namespace":"x","namespace":"y"}']
    answer = await web.ask("POST", "/records", b'{"records":[%b]}' % b",".join([*twice, text]))
    assert [one["status"] for one in answer.json["records"]] == [400, 400, 200]
    assert [key for _, key, _, _ in web.node.ingested] == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"records":1}',
        b'{"records":[],"more":1}',
        b'{"records":[],"records":[]}',
        b"\xff",
    ],
)
async def test_what_makes_no_sense_is_refused(web: Web, body: bytes) -> None:
    assert (await web.ask("POST", "/records", body)).status == 400


async def test_too_many_are_refused(web: Web) -> None:
    assert (await post(web, [item("a")] * 1001)).status == 400
    assert web.node.ingested == []


async def test_an_empty_list(web: Web) -> None:
    assert (await post(web, [])).json == {"records": []}


async def test_pages_give_the_records_as_they_are(web: Web) -> None:
    for i in range(5):
        web.node.records["default", f"k{i}"] = RECORD
    found: dict[str, Record] = {}
    query = "?limit=2"
    while query:
        page = (await web.ask("GET", f"/records{query}")).json
        for one in page["records"]:
            data = base64.b64decode(one["record"])
            found[one["key"]] = from_portable(one["key"], data)
        query = f"?limit=2&cursor={page['cursor']}" if "cursor" in page else ""
    assert found == {f"k{i}": RECORD for i in range(5)}


async def test_what_cannot_be_read_is_named(web: Web) -> None:
    web.node.records["default", "k"] = RECORD
    for path in ("/records", "/entries"):
        assert "unreadable" not in (await web.ask("GET", path)).json
    web.node.unreadable = [
        Unreadable(3, ["n1"], key="lost"),
        Unreadable(4, ["n1", "n2"], token="04ab"),
    ]
    for path in ("/records", "/entries"):
        assert (await web.ask("GET", path)).json["unreadable"] == [
            {"partition": 3, "nodes": ["n1"], "key": "lost"},
            {"partition": 4, "nodes": ["n1", "n2"], "token": "04ab"},
        ]


async def test_a_cursor_of_another_namespace_is_refused(web: Web) -> None:
    for i in range(3):
        web.node.records["default", f"k{i}"] = RECORD
    cursor = (await web.ask("GET", "/records?limit=1")).json["cursor"]
    refused = await web.ask("GET", f"/records?namespace=other&cursor={cursor}")
    assert refused.status == 400
