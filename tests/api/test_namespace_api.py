"""The calls about namespaces: what reaches the node, what is answered, what is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from kit.web import Web

from kvorum.model.errors import StorageError


async def test_all_namespaces_and_each_can_be_looked_at(web: Web) -> None:
    overview = (await web.ask("GET", "/namespaces")).json
    assert overview["version"] == 1
    one = (await web.ask("GET", "/namespaces/default")).json
    assert (one["namespace"], one["version"], one["settings"]["read"]) == ("default", 1, 2)
    missing = await web.ask("GET", "/namespaces/away")
    assert (missing.status, missing.json["code"]) == (404, "namespace_not_found")


async def test_a_name_may_be_percent_encoded(web: Web) -> None:
    assert (await web.ask("GET", "/namespaces/%64efault")).json["namespace"] == "default"
    assert (await web.ask("PUT", "/namespaces/tw%6F")).json["namespace"] == "two"


async def test_one_is_made_and_altered(web: Web) -> None:
    made = await web.ask("PUT", "/namespaces/new", b'{"settings":{"ttl":5},"version":1}')
    assert (made.status, made.json["namespace"], made.json["version"]) == (201, "new", 2)
    altered = await web.ask("PUT", "/namespaces/new", b'{"settings":{"ttl":6}}')
    assert altered.status == 200
    assert web.namespaces.asked == [("put", "new", {"ttl": 5}, 1), ("put", "new", {"ttl": 6}, None)]


async def test_whether_one_could_be_made_changes_nothing(web: Web) -> None:
    assert (await web.ask("PUT", "/namespaces/new", b'{"check_only":true}')).status == 200
    refused = await web.ask(
        "PUT", "/namespaces/new", b'{"settings":{"colour":1},"check_only":true}'
    )
    assert refused.status == 400
    assert web.namespaces.asked == []
    assert (await web.ask("GET", "/namespaces/new")).status == 404


async def test_a_drop_is_answered_when_it_is_for_good(web: Web) -> None:
    await web.ask("PUT", "/namespaces/gone")
    answer = asyncio.ensure_future(web.ask("DELETE", "/namespaces/gone", b'{"before_ms":7}'))
    while not web.namespaces.dropped:
        await asyncio.sleep(0)
    assert not answer.done()
    web.namespaces.dropped[0](None)
    assert (await answer).json == {"namespace": "gone", "version": 3}
    assert web.namespaces.asked[-1] == ("drop", "gone", 7, None)


async def test_a_drop_that_fails_says_why(web: Web) -> None:
    await web.ask("PUT", "/namespaces/gone")
    answer = asyncio.ensure_future(web.ask("DELETE", "/namespaces/gone"))
    while not web.namespaces.dropped:
        await asyncio.sleep(0)
    web.namespaces.dropped[0](StorageError("the disk", outcome="unknown"))
    problem = await answer
    assert (problem.status, problem.json["outcome"]) == (500, "unknown")


async def test_a_namespace_may_be_called_as_a_path_is(web: Web) -> None:
    assert (await web.ask("PUT", "/namespaces/shred")).status == 200
    assert (await web.ask("GET", "/namespaces/shred")).json["namespace"] == "shred"
    assert (await web.ask("POST", "/namespaces/shred", b'{"namespace":"shred"}')).status == 202
    assert (await web.ask("POST", "/namespaces/other", b"{}")).status == 405


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/namespaces/", b"{}", 400),
        ("PUT", "/namespaces/a%20b", b"{}", 400),
        ("PUT", "/namespaces/a%2Fb", b"{}", 400),
        ("PUT", "/namespaces/a%6", b"{}", 400),
        ("PUT", "/namespaces/a%FF", b"{}", 400),
        ("PUT", "/namespaces/a/b", b"{}", 400),
        ("PUT", "/namespaces/a?version=1", b"{}", 400),
        ("PUT", "/namespaces/a", b"x", 400),
        ("PUT", "/namespaces/a", b'{"settings":[]}', 400),
        ("PUT", "/namespaces/a", b'{"settings":{},"settings":{}}', 400),
        ("PUT", "/namespaces/a", b'{"version":"1"}', 400),
        ("PUT", "/namespaces/a", b'{"ttl":1}', 400),
        ("PUT", "/namespaces/a", b'{"version":9}', 412),
        ("PUT", "/namespaces/taken", b"{}", 503),
        ("DELETE", "/namespaces/away", b"{}", 404),
        ("DELETE", "/namespaces/default", b'{"before_ms":"now"}', 400),
        ("DELETE", "/namespaces/default", b'{"all":true}', 400),
        ("GET", "/namespaces?all=1", None, 400),
        ("PUT", "/namespaces", b"{}", 405),
    ],
)
async def test_what_makes_no_sense_is_refused(
    web: Web, method: str, path: str, body: Any, status: int
) -> None:
    answer = await web.ask(method, path, body)
    assert (answer.status, answer.json["outcome"]) == (status, "none")
    assert web.namespaces.asked == []
