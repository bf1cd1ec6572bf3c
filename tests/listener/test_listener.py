"""A listener with two ports of two protocols: the bounds they share, the sweep, and the drain."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from kit.certificates import CLUSTER, TestAuthority
from kit.toy_protocol import ToyFace

from kvorum.listener.connection import Connection
from kvorum.listener.limits import ListenerLimits
from kvorum.listener.listener import Listener
from kvorum.model.errors import ConfigError
from kvorum.runtime.loop import LoopRuntime
from kvorum.tls.client import client_context
from kvorum.tls.node_tls import NodeTls

Loops = Callable[[], asyncio.AbstractEventLoop]
HERE = "127.0.0.1"


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, line: str) -> None:
        self._writer.write(f"{line}\n".encode())

    async def line(self) -> str:
        return (await self._reader.readline()).decode().rstrip("\n")

    async def close(self) -> None:
        if self._writer.get_extra_info("ssl_object") is not None:
            self._writer.transport.abort()  # under TLS, asyncio may wait for ever for the end
            return
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


class Stage:
    tls: NodeTls | None = None
    trust: ssl.SSLContext | None = None

    def __init__(self, limits: ListenerLimits | None) -> None:
        self.listener = Listener(LoopRuntime(asyncio.get_running_loop()), limits)
        self.first, self.second = ToyFace(), ToyFace()
        self.ports: dict[ToyFace, int] = {}
        self._clients: list[Client] = []

    async def start(self) -> None:
        for face in (self.first, self.second):
            _, self.ports[face] = await self.listener.listen(face, HERE, 0, self.tls)

    async def client(self, face: ToyFace) -> Client:
        client = Client(*await asyncio.open_connection(HERE, self.ports[face], ssl=self.trust))
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self.listener.close(drain_s=5)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TestAuthority:
    return TestAuthority(tmp_path_factory.mktemp("certs"))


@pytest.fixture(autouse=True, params=["plain", "TLS"])
def spoken(
    request: pytest.FixtureRequest, authority: TestAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is spoken to clients in all tests here."""
    if request.param == "TLS":
        tls = NodeTls(authority.node("n1").files, CLUSTER, lambda _serial: False)
        monkeypatch.setattr(Stage, "tls", tls)
        monkeypatch.setattr(Stage, "trust", client_context(authority.ca))


@asynccontextmanager
async def stage(limits: ListenerLimits | None = None) -> AsyncIterator[Stage]:
    made = Stage(limits)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def begun(face: ToyFace) -> None:
    """Wait until a request is under way."""
    await until(lambda: bool(face.asked))


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


async def test_each_port_has_its_protocol(loops: Loops) -> None:
    async with stage() as here:
        for face in (here.first, here.second):
            client = await here.client(face)
            client.send("get a")
            await begun(face)
            face.answer()
            assert await client.line() == "GET A"
        assert here.listener.status().open == 2


async def test_clients_of_all_ports_share_the_places(loops: Loops) -> None:
    async with stage(ListenerLimits(connections=2)) as here:
        busy = await here.client(here.first)
        busy.send("get a")
        await until(lambda: here.first.asked == ["get a"])
        idle = await here.client(here.second)
        await until(lambda: here.listener.connections == 2)
        other = await here.client(here.second)
        assert await idle.line() == ""
        other.send("get b")
        await until(lambda: here.second.asked == ["get b"])
        if here.tls is None:
            refused = await here.client(here.first)
            assert await refused.line() == "! overloaded (end)"
        else:  # A handshake costs more than a request, so nobody is refused behind one.
            with pytest.raises(ConnectionError):
                await here.client(here.first)
        status = here.listener.status()
        assert (status.open, status.max) == (2, 2)
        assert (status.given_up, status.refused) == (1, 1)
        here.first.answer()
        assert await busy.line() == "GET A"


async def test_large_requests_of_all_ports_are_held_within_one_bound(loops: Loops) -> None:
    async with stage(ListenerLimits(large_bodies_bytes=100)) as here:
        one, two = await here.client(here.first), await here.client(here.second)
        one.send("hold 60")
        await begun(here.first)
        two.send("hold 60")
        assert await two.line() == "! overloaded (end)"
        here.first.answer()
        assert await one.line() == "HOLD 60"
        one.send("hold 60")
        await begun(here.first)


async def test_the_sweep_ends_what_is_silent_and_tells_every_face_the_time(loops: Loops) -> None:
    async with stage(ListenerLimits(tick_s=0.01, idle_s=0.05)) as here:
        silent = await here.client(here.first)
        busy = await here.client(here.second)
        busy.send("get a")
        assert await silent.line() == ""
        await until(lambda: len(here.first.walls) > 2 and len(here.second.walls) > 2)
        here.second.answer()
        assert await busy.line() == "GET A"


async def test_closing_finishes_what_has_begun_on_all_ports(loops: Loops) -> None:
    async with stage() as here:
        one, two, idle = [await here.client(f) for f in (here.first, here.second, here.second)]
        one.send("put a")
        two.send("put b")
        await until(lambda: here.first.asked == ["put a"] and here.second.asked == ["put b"])
        closing = asyncio.create_task(here.listener.close(drain_s=10))
        assert await idle.line() == ""
        for face in (here.first, here.second):
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(HERE, here.ports[face])
        assert not closing.done()
        here.first.answer()
        here.second.answer()
        assert [await one.line(), await two.line()] == ["PUT A (end)", "PUT B (end)"]
        await one.close()
        await two.close()
        await closing
        assert here.listener.connections == 0


async def test_closing_cuts_off_what_does_not_end(loops: Loops) -> None:
    async with stage() as here:
        client = await here.client(here.first)
        client.send("put a")
        await begun(here.first)
        await here.listener.close(drain_s=0.02)
        assert here.listener.connections == 0
        here.first.answer()


async def test_a_taken_port_is_told_with_the_option_of_its_protocol(loops: Loops) -> None:
    async with stage() as here:
        with pytest.raises(ConfigError, match="another port with --toy-port"):
            await here.listener.listen(ToyFace(), HERE, here.ports[here.first])


class Ready:
    """A connection with a response, as the listener sees it."""

    def __init__(self, written: list[str], name: str, *, fails: bool = False) -> None:
        self._written = written
        self._name = name
        self._fails = fails

    def write_ready(self) -> None:
        if self._fails:
            raise RuntimeError("broken")
        self._written.append(self._name)


async def test_responses_of_a_turn_leave_at_its_end_whichever_of_them_fails(loops: Loops) -> None:
    loop = asyncio.get_running_loop()
    faults: list[str] = []
    loop.set_exception_handler(lambda _, context: faults.append(str(context["exception"])))
    listener = Listener(LoopRuntime(loop))
    written: list[str] = []
    for ready in (Ready(written, "a"), Ready(written, "b", fails=True), Ready(written, "c")):
        listener.write_soon(cast("Connection", ready))
    assert written == []
    await until(lambda: len(written) == 2)
    assert written == ["a", "c"]
    assert faults == ["broken"]
    loop.set_exception_handler(None)


async def test_a_stop_that_is_planned_answers_on_and_says_that_it_is_the_last(loops: Loops) -> None:
    async with stage() as here:
        busy, idle = await here.client(here.first), await here.client(here.first)
        busy.send("put a")
        await begun(here.first)
        leaving = asyncio.create_task(here.listener.leave(grace_s=10))
        await until(lambda: here.listener.leaving)
        here.first.answer()
        assert [await busy.line(), await busy.line()] == ["PUT A (end)", ""]
        idle.send("put b")
        new = await here.client(here.second)
        new.send("get c")
        await begun(here.first)
        await begun(here.second)
        here.first.answer()
        here.second.answer()
        assert [await idle.line(), await idle.line()] == ["PUT B (end)", ""]
        assert [await new.line(), await new.line()] == ["GET C (end)", ""]
        assert not leaving.done()
        for client in (busy, idle, new):
            await client.close()
        await leaving  # long before its time, since all have gone


async def test_an_answer_that_is_made_and_does_not_say_so_is_not_the_last(loops: Loops) -> None:
    async with stage() as here:
        busy = await here.client(here.first)
        busy.send("put a")
        await begun(here.first)
        leaving = asyncio.create_task(here.listener.leave(grace_s=10))
        here.first.answer()  # It leaves at the end of the turn in which the leave begins.
        assert await busy.line() == "PUT A"
        assert here.listener.leaving
        busy.send("put b")
        await begun(here.first)
        here.first.answer()
        assert [await busy.line(), await busy.line()] == ["PUT B (end)", ""]
        await busy.close()
        await leaving


async def test_a_stop_at_once_still_writes_an_answer_that_is_made(loops: Loops) -> None:
    async with stage() as here:
        busy = await here.client(here.first)
        busy.send("put a")
        await begun(here.first)
        closing = asyncio.create_task(here.listener.close(drain_s=5))
        here.first.answer()
        assert [await busy.line(), await busy.line()] == ["PUT A", ""]
        await busy.close()
        await closing


async def test_who_is_idle_to_the_end_is_told_that_nothing_was_done(loops: Loops) -> None:
    async with stage() as here:
        idle, late = await here.client(here.first), await here.client(here.first)
        await until(lambda: here.listener.connections == 2)
        await here.listener.leave(grace_s=0.01)
        closing = asyncio.create_task(here.listener.close(drain_s=5))
        assert [await idle.line(), await idle.line()] == ["! node_stopping (end)", ""]
        late.send("put a")  # as if it had been on its way
        assert [await late.line(), await late.line()] == ["! node_stopping (end)", ""]
        assert here.first.asked == []
        await idle.close()
        await late.close()
        await closing


async def test_without_clients_a_planned_stop_waits_for_nobody(loops: Loops) -> None:
    async with stage() as here:
        await asyncio.wait_for(here.listener.leave(grace_s=1000), 5)
