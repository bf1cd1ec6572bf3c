"""The server as a whole: listening, and closing without breaking what has begun."""

from __future__ import annotations

import asyncio

import pytest
from kit.node import FakeNode
from kit.web import Web, both_loops, request, routes_of

from kvorum.api.http.face import HttpFace
from kvorum.listener.listener import Listener
from kvorum.model.errors import ConfigError
from kvorum.runtime.loop import LoopRuntime

pytestmark = both_loops

ENTRY = b'{"key":"k","value":1}'


async def test_a_taken_port_is_a_clear_error(web: Web) -> None:
    await web.start()
    second = Listener(LoopRuntime(asyncio.get_running_loop()))
    with pytest.raises(ConfigError, match="another port with --port"):
        await second.listen(HttpFace(routes_of(FakeNode())), *web.address)
    await second.close()


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
async def test_an_address_that_is_not_ours_is_a_clear_error(web: Web, host: str) -> None:
    server = Listener(LoopRuntime(asyncio.get_running_loop()))
    with pytest.raises(ConfigError, match=host):
        await server.listen(HttpFace(routes_of(FakeNode())), host, 0)


async def test_closing_closes_idle_connections_at_once(web: Web) -> None:
    idle, silent = await web.client(), await web.client()
    assert (await idle.ask("GET", "/status")).status == 200
    await web.until(lambda: web.server.connections == 2)
    await web.server.close()
    await idle.closed()
    await silent.closed()
    with pytest.raises(ConnectionRefusedError):
        await web.client()


async def test_closing_finishes_what_is_under_way(web: Web) -> None:
    web.node.holding = True
    client = await web.client()
    client.send(request("GET", "/entry/a") + request("GET", "/entry/b"))
    await web.until(lambda: len(web.node.held) == 2)
    closing = asyncio.create_task(web.server.close())
    await asyncio.sleep(0)
    web.node.answer(0)
    first = await client.response()
    assert first.status == 404
    assert "connection" not in first.fields
    assert not closing.done()
    web.node.answer(0)
    assert (await client.response()).fields["connection"] == "close"
    await client.closed()
    await client.close()
    await closing


async def test_closing_lets_a_request_that_has_begun_end(web: Web) -> None:
    client = await web.client()
    whole = request("POST", "/entry", ENTRY)
    client.send(whole[:-5])
    await web.until(lambda: web.server.connections == 1)
    await asyncio.sleep(0.01)  # nothing shows from outside that the bytes have been read
    closing = asyncio.create_task(web.server.close())
    await asyncio.sleep(0)
    client.send(whole[-5:] + request("GET", "/entry/k"))
    answer = await client.response()
    assert (answer.status, answer.fields["connection"]) == (201, "close")
    await client.closed()
    await client.close()
    await closing
    assert len(web.node.requests) == 1


async def test_closing_ends_in_bounded_time(web: Web) -> None:
    web.node.holding = True
    client = await web.client()
    client.send(request("GET", "/entry/a"))
    await web.until(lambda: web.node.held)
    await web.server.close(drain_s=0.05)
    await client.closed()
    web.node.answer(0)


async def test_closing_twice_and_closing_what_never_started(web: Web) -> None:
    await web.start()
    await web.server.close()
    await web.server.close()
    await Listener(LoopRuntime(asyncio.get_running_loop())).close()
