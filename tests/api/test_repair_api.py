"""POST /repair and how its progress is asked."""

from __future__ import annotations

import pytest
from kit.web import Web


async def test_a_repair_is_begun_and_watched(web: Web) -> None:
    begun = await web.ask("POST", "/repair", b'{"namespace":"default","key":"k","full":true}')
    assert begun.status == 202
    assert begun.json == {
        "id": "a1",
        "namespace": "default",
        "partition": None,
        "key": "k",
        "full": True,
    }
    assert (await web.ask("GET", "/repair/a1")).json == begun.json
    assert (await web.ask("GET", "/repair")).json == {"runs": [], "partitions": []}


async def test_without_a_body_everything_is_repaired(web: Web) -> None:
    begun = await web.ask("POST", "/repair")
    assert begun.status == 202
    assert (begun.json["partition"], begun.json["key"], begun.json["full"]) == (None, None, False)


@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b'{"everything": true}',
        b'{"partition": "1"}',
        b'{"partition": 999}',
        b'{"namespace": "a b"}',
        b'{"key": "\xff"}',
        b'{"key": "a", "key": "b"}',
    ],
)
async def test_what_makes_no_sense_is_refused(web: Web, body: bytes) -> None:
    answer = await web.ask("POST", "/repair", body)
    assert (answer.status, answer.json["code"]) == (400, "bad_request")


async def test_an_unknown_repair(web: Web) -> None:
    answer = await web.ask("GET", "/repair/b2")
    assert answer.status == 404
    assert "GET /repair" in answer.json["advice"]
    assert "POST /entry" not in answer.json["advice"]
    assert (await web.ask("GET", "/repair/%C3%A4")).status == 404
    assert (await web.ask("GET", "/repair?x=1")).status == 400
