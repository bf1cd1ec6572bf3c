"""The calls about keys and stored records: what reaches the node, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from kit.web import Web


@pytest.mark.parametrize(
    ("path", "body", "asked"),
    [
        ("/keys/rotate", b"", ("rotate", None)),
        ("/keys/rotate", b'{"namespace":"shop"}', ("rotate", "shop")),
        ("/namespaces/shred", b'{"namespace":"shop"}', ("shred", "shop", None)),
        ("/namespaces/shred", b'{"namespace":"shop","before_ms":7}', ("shred", "shop", 7)),
        ("/scrub", b"", ("scrub",)),
    ],
)
async def test_what_is_asked_for_is_begun(
    web: Web, path: str, body: bytes, asked: tuple[Any, ...]
) -> None:
    assert (await web.ask("POST", path, body)).status == 202
    assert web.key_admin.asked == [asked]


async def test_what_there_is_can_be_looked_at(web: Web) -> None:
    assert (await web.ask("GET", "/keys")).json == {"keys": []}
    assert (await web.ask("GET", "/scrub")).json == {"scrub": {}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/keys/rotate", b"x"),
        ("/keys/rotate", b'{"namespace":"a b"}'),
        ("/keys/rotate", b'{"all":true}'),
        ("/keys/rotate?wait=1", b""),
        ("/namespaces/shred", b""),
        ("/namespaces/shred", b'{"namespace":"shop","before_ms":"now"}'),
        ("/namespaces/shred", b'{"namespace":"a","namespace":"b"}'),
        ("/keys/rotate", b'{"namespace":"a","namespace":"b"}'),
    ],
)
async def test_what_makes_no_sense_is_refused(web: Web, path: str, body: bytes) -> None:
    assert (await web.ask("POST", path, body)).status == 400
    assert web.key_admin.asked == []


async def test_a_namespace_that_is_not_there(web: Web) -> None:
    answer = await web.ask("POST", "/keys/rotate", b'{"namespace":"away"}')
    assert (answer.status, answer.json["code"]) == (404, "namespace_not_found")
