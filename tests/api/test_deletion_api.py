"""DELETE /entries by prefix: confirmed, a page at a time, and told as far as it came."""

from __future__ import annotations

from typing import Any

import pytest
from kit.web import Response, Web

from kvorum.api.limits import ApiLimits
from kvorum.model.request import Delete, Failure, Unreadable
from kvorum.service.access import SamePolicy
from kvorum.service.action import Action
from kvorum.service.limits import ServiceLimits


async def fill(web: Web, *keys: str) -> None:
    for key in keys:
        await web.put(key, b"1")


def live(web: Web) -> list[str]:
    return sorted(key for (_, key), record in web.node.records.items() if record.versions)


async def refused(web: Web, answer: Response, status: int, code: str) -> dict[str, Any]:
    assert (answer.status, answer.json["code"]) == (status, code), answer
    assert answer.json["outcome"] == "none"
    assert not [r for r in web.node.requests if isinstance(r, Delete)]
    found: dict[str, Any] = answer.json
    return found


async def test_all_that_begins_so_is_deleted(web: Web) -> None:
    await fill(web, "a:1", "a:2", "a:3", "b", "a")
    answer = await web.ask("DELETE", "/entries?prefix=a:&confirm=a:&w=2&timeout_ms=9&quorum=sloppy")
    assert answer.json == {"deleted": 3, "cursor": None}
    assert live(web) == ["a", "b"]
    expected = Delete("default", "a:1", w=2, timeout_ms=9, quorum="sloppy")
    assert expected in web.node.requests
    again = await web.ask("DELETE", "/entries?prefix=a:&confirm=a:")
    assert again.json == {"deleted": 0, "cursor": None}


@pytest.mark.parametrize("prefix", ["{7}:", "é", "a b", "a%", "a&confirm=x", "{}"])
async def test_any_prefix_can_be_meant(web: Web, prefix: str) -> None:
    await fill(web, prefix + "1", "b")
    escaped = "".join(f"%{byte:02X}" for byte in prefix.encode())
    answer = await web.ask("DELETE", f"/entries?prefix={escaped}&confirm={escaped}")
    assert answer.json == {"deleted": 1, "cursor": None}
    assert live(web) == ["b"]


async def test_the_client_goes_on_with_the_cursor(web: Web) -> None:
    await web.start(api=ApiLimits(list_items=2, list_window=1))
    await fill(web, *(f"a{i}" for i in range(5)), "b")
    path, counts = "/entries?prefix=a&confirm=a", []
    page = (await web.ask("DELETE", path)).json
    while page["cursor"]:
        counts.append(page["deleted"])
        page = (await web.ask("DELETE", f"{path}&cursor={page['cursor']}")).json
    assert [*counts, page["deleted"]] == [2, 2, 1]
    assert live(web) == ["b"]


async def test_a_whole_namespace_is_confirmed_by_its_name(web: Web) -> None:
    body = b'{"key":"k","value":1,"namespace":"n"}'
    await web.ask("POST", "/entry", body)
    await fill(web, "k")
    for query in ("confirm=", "prefix=&confirm=", "confirm=default", "prefix=&confirm=k"):
        answer = await web.ask("DELETE", f"/entries?namespace=n&{query}")
        said = await refused(web, answer, 400, "bad_request")
        assert "all entries of the namespace 'n'," in said["detail"]
        assert "confirm=n " in said["detail"]
    answer = await web.ask("DELETE", "/entries?namespace=n&prefix=&confirm=n")
    assert answer.json == {"deleted": 1, "cursor": None}
    assert live(web) == ["k"]


@pytest.mark.parametrize("confirm", ["", "&confirm=", "&confirm=a", "&confirm=default"])
async def test_what_is_not_confirmed_is_not_deleted(web: Web, confirm: str) -> None:
    await fill(web, "a b:1")
    answer = await web.ask("DELETE", f"/entries?prefix=a%20b:{confirm}")
    said = await refused(web, answer, 400, "bad_request")
    assert "whose keys begin with 'a b:'" in said["detail"]
    assert "add confirm=a%20b%3A to the query" in said["detail"]
    assert live(web) == ["a b:1"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "prefix=",
        "namespace=default",
        "cursor=x",
        "prefix=a&confirm=a&cursor=x",
        "prefix=a&prefix=a&confirm=a",
        "prefix=a&confirm=a&limit=1",
        "prefix=a&confirm=a&valueVersion=x",
        "prefix=%ff&confirm=%ff",
        f"prefix={'x' * 1025}&confirm={'x' * 1025}",
    ],
)
async def test_queries_that_are_refused(web: Web, query: str) -> None:
    await fill(web, "a")
    await refused(web, await web.ask("DELETE", f"/entries?{query}"), 400, "bad_request")


async def test_neither_a_body_nor_a_condition_goes_with_a_prefix(web: Web) -> None:
    await fill(web, "a")
    path = "/entries?prefix=a&confirm=a"
    await refused(web, await web.ask("DELETE", path, b'{"keys":["a"]}'), 400, "bad_request")
    await refused(web, await web.ask("DELETE", path, if_match="*"), 400, "bad_request")


@pytest.mark.parametrize("lacking", [Action.DELETE, Action.SCAN])
async def test_it_takes_both_permissions(web: Web, lacking: Action) -> None:
    await fill(web, "a")
    await web.server.close()
    await web.start(policy=SamePolicy(set(Action) - {lacking}))
    answer = await web.ask("DELETE", "/entries?prefix=a&confirm=a")
    assert (await refused(web, answer, 403, "access_denied"))["action"] == lacking.value


async def test_what_could_not_be_listed_is_named(web: Web) -> None:
    await fill(web, "a")
    web.node.unreadable = [Unreadable(3, ["n2"], key="a2")]
    answer = await web.ask("DELETE", "/entries?prefix=a&confirm=a")
    named = [{"partition": 3, "nodes": ["n2"], "key": "a2"}]
    assert answer.json == {"deleted": 1, "cursor": None, "unreadable": named}


async def test_a_failure_says_how_far_it_came_and_where_to_go_on(web: Web) -> None:
    await web.start(api=ApiLimits(list_items=4, list_window=2))
    await fill(web, *(f"a{i}" for i in range(9)))
    first = (await web.ask("DELETE", "/entries?prefix=a&confirm=a")).json
    web.node.holding = True
    client = await web.client()
    path = f"/entries?prefix=a&confirm=a&cursor={first['cursor']}"
    client.send(f"DELETE {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    await web.until(lambda: len(web.node.held) == 2)
    web.node.answer(0)
    await web.until(lambda: len(web.node.held) == 2)
    web.node.failure = Failure("quorum_not_met", "wanted 2", "none", {"needed": 2})
    web.node.answer(1)
    web.node.failure = None
    web.node.answer(0)
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (503, "quorum_not_met")
    assert (answer.json["deleted"], answer.json["cursor"]) == (2, first["cursor"])
    assert (answer.json["outcome"], answer.json["needed"]) == ("unknown", 2)
    web.node.holding = False
    page = (await web.ask("DELETE", path)).json
    assert (page["deleted"], page["cursor"] is None) == (3, True)
    assert live(web) == []


@pytest.mark.parametrize("outcome", ["none", "unknown"])
async def test_a_failure_of_the_first_delete(web: Web, outcome: str) -> None:
    await fill(web, "a")
    web.node.holding = True
    client = await web.client()
    client.send(b"DELETE /entries?prefix=a&confirm=a HTTP/1.1\r\nHost: a\r\n\r\n")
    await web.until(lambda: web.node.held)
    web.node.failure = Failure("timeout", "too late", outcome, {})  # type: ignore[arg-type]
    web.node.answer(0)
    answer = await client.response()
    assert (answer.status, answer.json["outcome"]) == (504, outcome)
    assert (answer.json["deleted"], answer.json["cursor"]) == (0, None)


async def test_a_listing_that_fails(web: Web) -> None:
    web.node.failure = Failure("timeout", "too late", "none", {})
    answer = await web.ask("DELETE", "/entries?prefix=a&confirm=a")
    assert (answer.status, answer.json["code"]) == (504, "timeout")


async def test_a_failure_that_makes_no_sense_is_a_fault(web: Web) -> None:
    """Failures come from other nodes too."""
    await fill(web, "a")
    web.node.holding = True
    client = await web.client()
    client.send(b"DELETE /entries?prefix=a&confirm=a HTTP/1.1\r\nHost: a\r\n\r\n")
    await web.until(lambda: web.node.held)
    web.node.failure = Failure("timeout", "late", "none", {"self": 1})
    web.node.answer(0)
    answer = await client.response()
    assert (answer.status, answer.json["code"]) == (500, "internal_error")


async def test_what_went_away_meanwhile_is_no_failure_and_does_not_count(web: Web) -> None:
    await fill(web, "a1", "a2")
    web.node.holding = True
    client = await web.client()
    client.send(b"DELETE /entries?prefix=a&confirm=a HTTP/1.1\r\nHost: a\r\n\r\n")
    await web.until(lambda: len(web.node.held) == 2)
    web.node.result(Delete("default", "a2"))
    web.node.answer(0)
    web.node.answer(0)
    assert (await client.response()).json == {"deleted": 1, "cursor": None}


async def test_places_are_taken_and_given_back(web: Web) -> None:
    await web.start(api=ApiLimits(list_window=2), service=ServiceLimits(in_flight=2))
    for _ in range(3):
        await fill(web, *(f"a{i}" for i in range(5)))
        assert (await web.ask("DELETE", "/entries?prefix=a&confirm=a")).json["deleted"] == 5
    await fill(web, "a1", "a2")
    web.node.holding = True
    client = await web.client()
    client.send(b"GET /entry/x HTTP/1.1\r\nHost: a\r\n\r\n")
    await web.until(lambda: web.node.held)
    answer = await web.ask("DELETE", "/entries?prefix=a&confirm=a")
    assert (answer.status, answer.json["code"]) == (503, "overloaded")
    web.node.answer(0)
    await client.response()
    web.node.holding = False
    assert (await web.ask("DELETE", "/entries?prefix=a&confirm=a")).json["deleted"] == 2
