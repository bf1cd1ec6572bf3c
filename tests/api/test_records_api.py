"""POST /records and GET /records: records as they are, in and out."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from fake_node import SECRET, actor_name
from web_fixture import Web

from kvorum.api.http.limits import HttpLimits
from kvorum.api.http.server import HttpServer
from kvorum.api.limits import ApiLimits
from kvorum.api.routes import api_routes
from kvorum.model.errors import QuorumError
from kvorum.model.portable_record import from_portable, to_portable
from kvorum.model.record import EMPTY, JSON, Event, Record, write
from kvorum.model.request import Answer, Failure, Result, Unreadable
from kvorum.runtime.loop import LoopRuntime

RECORD = write(EMPTY, (), Event(7, 1, 1000), JSON, b'"x"', 5)


class Taken:
    """Keeps what it is given; refuses the key "refused"."""

    def __init__(self) -> None:
        self.records: list[tuple[str, str, Record, int]] = []

    def ingest(
        self,
        namespace: str,
        key: str,
        record: Record,
        w: int,
        reply: Callable[[Result], object],
        /,
    ) -> None:
        self.records.append((namespace, key, record, w))
        result: Result = Answer(record)
        if key == "refused":
            result = Failure.of(QuorumError("wanted 2, got 1", outcome="unknown"))
        asyncio.get_running_loop().call_soon(reply, result)


@pytest.fixture
def taken(web: Web, monkeypatch: pytest.MonkeyPatch) -> Taken:
    taken = Taken()

    async def start(http: HttpLimits | None = None, api: ApiLimits | None = None) -> None:
        node = web.node
        routes = api_routes(node, node, node, SECRET, actor_name, api, records=taken)
        web.server = HttpServer(LoopRuntime(asyncio.get_running_loop()), routes, http)
        web.address = await web.server.start("127.0.0.1", 0)

    monkeypatch.setattr(web, "start", start)
    return taken


def item(key: str, record: Record = RECORD, **more: str) -> dict[str, str]:
    return {"key": key, "record": base64.b64encode(to_portable(key, record)).decode(), **more}


async def post(web: Web, items: list[Any], query: str = "") -> Any:
    body = msgspec.json.encode({"records": items})
    return await web.ask("POST", f"/records{query}", body)


async def test_records_go_in(web: Web, taken: Taken) -> None:
    answer = await post(web, [item("a"), item("ä", EMPTY, namespace="other")], "?w=2")
    assert answer.status == 200
    assert answer.json == {"records": [{"status": 200}, {"status": 200}]}
    assert taken.records == [("default", "a", RECORD, 2), ("other", "ä", EMPTY, 2)]


async def test_each_succeeds_or_fails_by_itself(web: Web, taken: Taken) -> None:
    damaged = {**item("b"), "record": item("c")["record"]}
    items = [item("refused"), damaged, {"key": "k", "record": "?"}, {"key": "k"}, item("a")]
    answer = await post(web, [*items, item("x", namespace="a b")])
    outcomes = answer.json["records"]
    assert [one["status"] for one in outcomes] == [503, 400, 400, 400, 200, 400]
    assert outcomes[0]["error"]["outcome"] == "unknown"
    assert outcomes[1]["error"]["code"] == "invalid_value"
    assert [key for _, key, _, _ in taken.records] == ["refused", "a"]


async def test_a_record_that_names_a_member_twice_is_refused(web: Web, taken: Taken) -> None:
    text = msgspec.json.encode(item("a"))
    twice = [b'{"key":"b",' + text[1:], text[:-1] + b',"namespace":"x","namespace":"y"}']
    answer = await web.ask("POST", "/records", b'{"records":[%b]}' % b",".join([*twice, text]))
    assert [one["status"] for one in answer.json["records"]] == [400, 400, 200]
    assert [key for _, key, _, _ in taken.records] == ["a"]


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
async def test_what_makes_no_sense_is_refused(web: Web, taken: Taken, body: bytes) -> None:
    assert (await web.ask("POST", "/records", body)).status == 400


async def test_too_many_are_refused(web: Web, taken: Taken) -> None:
    assert (await post(web, [item("a")] * 1001)).status == 400
    assert taken.records == []


async def test_an_empty_list(web: Web, taken: Taken) -> None:
    assert (await post(web, [])).json == {"records": []}


async def test_pages_give_the_records_as_they_are(web: Web, taken: Taken) -> None:
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


async def test_what_cannot_be_read_is_named(web: Web, taken: Taken) -> None:
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


async def test_a_cursor_of_another_namespace_is_refused(web: Web, taken: Taken) -> None:
    for i in range(3):
        web.node.records["default", f"k{i}"] = RECORD
    cursor = (await web.ask("GET", "/records?limit=1")).json["cursor"]
    refused = await web.ask("GET", f"/records?namespace=other&cursor={cursor}")
    assert refused.status == 400


async def test_a_node_without_them_serves_nothing_there(web: Web) -> None:
    assert (await web.ask("GET", "/records")).status == 404
    assert (await web.ask("GET", "/snapshots")).status == 404
