"""The requests about snapshots, as they reach the node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fake_node import SECRET, actor_name
from web_fixture import Web

from kvorum.api.http.limits import HttpLimits
from kvorum.api.http.server import HttpServer
from kvorum.api.limits import ApiLimits
from kvorum.api.routes import api_routes
from kvorum.model.errors import NotFound, PreconditionFailed
from kvorum.runtime.loop import LoopRuntime


class Asked:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    def begin_create(self, name: str | None) -> Any:
        if name == "taken":
            raise PreconditionFailed("wanted another name")
        return self._note("create", name)

    def begin_verify(self, name: str) -> Any:
        return self._note("verify", name)

    def begin_delete(self, name: str) -> Any:
        return self._note("delete", name)

    def progress(self, name: str) -> Any:
        if name == "unknown":
            raise NotFound("wanted another name")
        return self._note("progress", name)

    def list(self) -> Any:
        return {"snapshots": []}

    def _note(self, what: str, name: str | None) -> Any:
        self.asked.append((what, name))
        return {"task": what, "name": name}


@pytest.fixture
def asked(web: Web, monkeypatch: pytest.MonkeyPatch) -> Asked:
    asked = Asked()

    async def start(http: HttpLimits | None = None, api: ApiLimits | None = None) -> None:
        node = web.node
        routes = api_routes(node, node, node, SECRET, actor_name, api, snapshots=asked)
        web.server = HttpServer(LoopRuntime(asyncio.get_running_loop()), routes, http)
        web.address = await web.server.start("127.0.0.1", 0)

    monkeypatch.setattr(web, "start", start)
    return asked


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
    asked: Asked,
    method: str,
    path: str,
    body: bytes | None,
    status: int,
    what: tuple[str, str | None],
) -> None:
    answer = await web.ask(method, path, body)
    assert answer.status == status
    assert asked.asked == [what]
    assert answer.json == {"task": what[0], "name": what[1]}


async def test_the_list(web: Web, asked: Asked) -> None:
    assert (await web.ask("GET", "/snapshots")).json == {"snapshots": []}


async def test_refusals(web: Web, asked: Asked) -> None:
    assert (await web.ask("POST", "/snapshots", b'{"name":"taken"}')).status == 412
    assert (await web.ask("POST", "/snapshots", b'{"nome":"a"}')).status == 400
    assert (await web.ask("POST", "/snapshots", b'{"name":"a","name":"b"}')).status == 400
    assert (await web.ask("POST", "/snapshots", b"x" * 5000)).status == 413
    assert (await web.ask("POST", "/snapshots/a", b"")).status == 400
    assert (await web.ask("PUT", "/snapshots/a", b"")).status == 405
    assert (await web.ask("GET", "/snapshots?x=1")).status == 400
    assert asked.asked == []


async def test_advice_is_about_snapshots(web: Web, asked: Asked) -> None:
    taken = await web.ask("POST", "/snapshots", b'{"name":"taken"}')
    unknown = await web.ask("GET", "/snapshots/unknown")
    assert (taken.status, unknown.status) == (412, 404)
    for answer in (taken, unknown):
        assert "GET /snapshots" in answer.json["advice"]


async def test_an_unknown_path_is_told_what_follows_on_each_path(web: Web, asked: Asked) -> None:
    assert "/snapshots/{name}" in (await web.ask("GET", "/")).json["paths"]
