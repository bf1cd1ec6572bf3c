"""The requests about snapshots, as they reach the node."""

from __future__ import annotations

import pytest
from kit.web import Web


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "what"),
    [
        ("POST", "/snapshots", b'{"name":"a"}', 202, ("create", "a")),
        ("POST", "/snapshots", b"", 202, ("create", None)),
        ("POST", "/snapshots/a/verify", b"", 202, ("verify", "a")),
        ("DELETE", "/snapshots/a", None, 202, ("delete", "a")),
        ("GET", "/snapshots/a", None, 200, ("progress", "a")),
    ],
)
async def test_it_reaches_the_node(
    web: Web,
    method: str,
    path: str,
    body: bytes | None,
    status: int,
    what: tuple[str, str | None],
) -> None:
    answer = await web.ask(method, path, body)
    assert answer.status == status
    assert web.snapshots.asked == [what]
    assert answer.json == {"task": what[0], "name": what[1]}


async def test_the_list(web: Web) -> None:
    assert (await web.ask("GET", "/snapshots")).json == {"snapshots": []}


async def test_refusals(web: Web) -> None:
    assert (await web.ask("POST", "/snapshots", b'{"name":"taken"}')).status == 412
    assert (await web.ask("POST", "/snapshots", b'{"nome":"a"}')).status == 400
    assert (await web.ask("POST", "/snapshots", b'{"name":"a","name":"b"}')).status == 400
    assert (await web.ask("POST", "/snapshots", b"x" * 5000)).status == 413
    assert (await web.ask("POST", "/snapshots/a", b"")).status == 400
    assert (await web.ask("PUT", "/snapshots/a", b"")).status == 405
    assert (await web.ask("GET", "/snapshots?x=1")).status == 400
    assert web.snapshots.asked == []


async def test_advice_is_about_snapshots(web: Web) -> None:
    taken = await web.ask("POST", "/snapshots", b'{"name":"taken"}')
    unknown = await web.ask("GET", "/snapshots/unknown")
    assert (taken.status, unknown.status) == (412, 404)
    for answer in (taken, unknown):
        assert "GET /snapshots" in answer.json["advice"]


async def test_an_unknown_path_is_told_what_follows_on_each_path(web: Web) -> None:
    assert "/snapshots/{name}" in (await web.ask("GET", "/")).json["paths"]
