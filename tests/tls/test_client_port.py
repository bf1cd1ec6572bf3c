"""The port of clients under TLS, from outside: what is spoken, who is refused, what it costs."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.certificates import CLUSTER, DAY, Issued, TestAuthority, raw_context
from kit.toy_protocol import ToyFace
from kit.waiting import DEADLINE_S

from kvorum.listener.limits import ListenerLimits
from kvorum.listener.listener import Listener
from kvorum.model.errors import ConfigError
from kvorum.runtime.loop import LoopRuntime, new_loop
from kvorum.tls.client import client_context
from kvorum.tls.node_tls import NodeTls

Loops = Callable[[], asyncio.AbstractEventLoop]
HERE = "127.0.0.1"
HALF_OPEN_BYTES = 96 << 10
"""What a connection in its handshake may take; docs/tls.md states it."""


class Served:
    """A listener under TLS that answers each request at once."""

    def __init__(self, tls: NodeTls, limits: ListenerLimits | None) -> None:
        self.listener = Listener(LoopRuntime(asyncio.get_running_loop()), limits)
        self.face = Echo()
        self.tls = tls
        self.port = 0

    async def start(self) -> None:
        _, self.port = await self.listener.listen(self.face, HERE, 0, self.tls)

    async def connect(
        self, context: ssl.SSLContext | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HERE, self.port, ssl=context)

    async def ask(self, context: ssl.SSLContext, line: bytes = b"get a") -> bytes:
        """The answer to `line` on a connection of its own; empty if it is closed instead."""
        try:
            reader, writer = await self.connect(context)
            writer.write(line + b"\n")
            answer = await reader.readline()
        except (ssl.SSLError, ConnectionError):
            return b""
        writer.transport.abort()
        return answer


class Echo(ToyFace):
    def handle(self, exchange: object) -> None:
        super().handle(exchange)  # type: ignore[arg-type]
        self.answer()


@asynccontextmanager
async def served(
    authority: TestAuthority,
    revoked: frozenset[str] | set[str] = frozenset(),
    limits: ListenerLimits | None = None,
) -> AsyncIterator[Served]:
    tls = NodeTls(authority.node("n1").files, CLUSTER, revoked.__contains__)
    made = Served(tls, limits)
    await made.start()
    try:
        yield made
    finally:
        await made.listener.close(drain_s=0.2)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.002)


async def test_a_client_without_a_certificate_is_served_and_nobody_is_named(
    loops: Loops, authority: TestAuthority
) -> None:
    async with served(authority) as here:
        assert await here.ask(client_context(authority.ca)) == b"GET A\n"


async def test_the_certificate_of_a_client_names_the_caller(
    loops: Loops, authority: TestAuthority
) -> None:
    async with served(authority) as here:
        ann = authority.client("ann")
        reader, writer = await here.connect(client_context(authority.ca, *ann.pair))
        writer.write(b"get a\n")
        assert await reader.readline() == b"GET A\n"
        [connection] = here.listener._connections
        caller = connection.caller
        assert caller.source == HERE
        assert caller.certified is not None
        assert (caller.certified.uri, caller.certified.serial) == (
            "kvorum://orchard/client/ann",
            ann.serial,
        )
        here.listener.revoke([ann.serial])
        assert await reader.read() == b""
        writer.transport.abort()


NOW = datetime.now(UTC)
Shown = Callable[[TestAuthority, TestAuthority], Issued]
REFUSED: dict[str, Shown] = {
    "another authority's": lambda _, other: other.client("ann"),
    "an expired one": lambda ours, _: ours.client("ann", ends=NOW - DAY / 2),
    "one of tomorrow": lambda ours, _: ours.client("ann", begins=NOW + DAY / 2),
    "another cluster's": lambda ours, _: ours.issue("ann", "kvorum://other/client/ann"),
    "nobody's": lambda ours, _: ours.issue("ann", "https://example.org/"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_who_shows_the_wrong_certificate_is_refused(
    loops: Loops, authority: TestAuthority, tmp_path: Path, case: str
) -> None:
    async with served(authority) as here:
        issued = REFUSED[case](authority, TestAuthority(tmp_path / "other"))
        assert await here.ask(raw_context(shown=issued)) == b""
        assert here.face.sessions == []


async def test_who_shows_a_revoked_certificate_is_refused(
    loops: Loops, authority: TestAuthority
) -> None:
    revoked: set[str] = set()
    async with served(authority, revoked) as here:
        ann = authority.client("ann")
        context = client_context(authority.ca, *ann.pair)
        assert await here.ask(context) == b"GET A\n"
        revoked.add(ann.serial)
        assert await here.ask(context) == b""


async def test_plain_http_is_told_to_use_https_and_the_log_says_so_once(
    loops: Loops, authority: TestAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with served(authority) as here:
        for _ in range(3):
            reader, writer = await here.connect(None)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"use https://" in answer
            writer.close()
        assert caplog.text.count("It does not speak TLS") == 1


async def test_large_answers_and_pipelined_requests_arrive_whole(
    loops: Loops, authority: TestAuthority
) -> None:
    async with served(authority) as here:
        reader, writer = await here.connect(client_context(authority.ca))
        lines = [b"get %d" % i + b"x" * size for i, size in enumerate((1, 20_000, 200_000))]
        for _ in range(8):
            writer.write(b"\n".join(lines) + b"\n")
            for line in lines:
                assert await reader.readexactly(len(line) + 1) == line.upper() + b"\n"
        writer.transport.abort()


async def test_half_open_handshakes_end_at_their_deadline(
    loops: Loops, authority: TestAuthority
) -> None:
    limits = ListenerLimits(handshake_s=0.05)
    async with served(authority, limits=limits) as here:
        reader, writer = await here.connect(None)
        writer.write(b"\x16\x03\x01\x02\x00\x01")  # a record that does not end
        assert await reader.read() == b""
        assert here.listener.status().open == 0
        writer.close()


async def test_half_open_handshakes_make_room_before_idle_clients(
    loops: Loops, authority: TestAuthority
) -> None:
    async with served(authority, limits=ListenerLimits(connections=2)) as here:
        context = client_context(authority.ca)
        idle_reader, idle = await here.connect(context)
        half_open, half = await here.connect(None)
        await until(lambda: here.listener.status().open == 2)
        assert await here.ask(context) == b"GET A\n"
        assert await half_open.read() == b""
        idle.write(b"get b\n")
        assert await idle_reader.readline() == b"GET B\n"
        half.close()
        idle.transport.abort()


async def test_certificates_are_exchanged_without_a_failed_request(
    loops: Loops, authority: TestAuthority
) -> None:
    async with served(authority) as here:
        context = client_context(authority.ca)
        reader, writer = await here.connect(context)
        for number in range(20):
            authority.node("n1")
            assert here.tls.reload()
            assert not here.tls.reload()
            writer.write(b"get %d\n" % number)
            assert await reader.readline() == b"GET %d\n" % number
            assert await here.ask(context) == b"GET A\n"
        authority.node("n1").files.key.write_text("no key")
        with pytest.raises(ConfigError, match=r"n1\.key holds no private key"):
            here.tls.reload()
        assert not here.tls.reload()
        assert await here.ask(context) == b"GET A\n"
        writer.transport.abort()


async def _many_half_open(authority: TestAuthority) -> float:
    """Bytes that each of 1,000 half-open handshakes takes while a client beside them is served."""
    async with served(authority) as here:
        context = client_context(authority.ca)
        assert await here.ask(context) == b"GET A\n"
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        stranger = raw_context().wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            stranger.do_handshake()
        hello = outgoing.read()
        gc.collect()
        before = _resident_bytes()
        half_open = [await here.connect(None) for _ in range(1000)]
        for reader, writer in half_open:
            writer.write(hello)
            assert await reader.readexactly(1) == b"\x16"
        grown = _resident_bytes() - before
        assert here.listener.status().open == 1000
        assert await here.ask(context) == b"GET A\n"
        for _, writer in half_open:
            writer.transport.abort()
        return grown / 1000


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_a_thousand_half_open_handshakes_take_bounded_memory(authority: TestAuthority) -> None:
    """The clients' ends are in this process too, and are counted with them."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        each = runner.run(asyncio.wait_for(_many_half_open(authority), 60))
    print(f"{each / 1024:.1f} KiB each")
    assert each < HALF_OPEN_BYTES


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")
@pytest.mark.parametrize(
    ("version", "spoken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)]
)
async def test_clients_are_spoken_to_in_tls_1_2_or_later(
    loops: Loops, authority: TestAuthority, version: str, spoken: bool
) -> None:
    async with served(authority) as here:
        command = ["openssl", "s_client", version, "-connect", f"{HERE}:{here.port}"]
        if not spoken:
            command += ["-cipher", "ALL:@SECLEVEL=0"]
        done = await asyncio.to_thread(
            subprocess.run, command, input=b"", capture_output=True, check=False, timeout=20
        )
        assert (b"Cipher is (NONE)" not in done.stdout) == spoken
        assert b"\nReused" not in done.stdout


CUTS = st.lists(st.binary(min_size=1, max_size=400), max_size=6)


@given(chunks=CUTS, keep=st.integers(0, 600))
def test_any_bytes_in_any_cuts_end_cleanly_and_hand_nothing_on(
    tmp_path_factory: pytest.TempPathFactory, chunks: list[bytes], keep: int
) -> None:
    """The beginning of a handshake, cut anywhere, and then anything."""
    authority = _shared_authority(tmp_path_factory)

    async def scenario() -> None:
        async with served(authority) as here:
            faults: list[object] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, what: faults.append(what))
            outgoing = ssl.MemoryBIO()
            stranger = raw_context().wrap_bio(ssl.MemoryBIO(), outgoing)
            with pytest.raises(ssl.SSLWantReadError):
                stranger.do_handshake()
            reader, writer = await here.connect(None)
            for chunk in [outgoing.read()[:keep], *chunks]:
                writer.write(chunk)
                await asyncio.sleep(0)
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            await until(lambda: here.listener.status().open == 0)
            assert here.face.sessions == []
            assert faults == []

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(scenario(), 20))


_AUTHORITIES: list[TestAuthority] = []


def _shared_authority(factory: pytest.TempPathFactory) -> TestAuthority:
    if not _AUTHORITIES:
        _AUTHORITIES.append(TestAuthority(factory.mktemp("certs")))
    return _AUTHORITIES[0]


@given(data=st.binary(min_size=1, max_size=2000), at=st.integers(0, 40))
def test_broken_records_after_the_handshake_end_the_connection(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    authority = _shared_authority(tmp_path_factory)

    async def scenario() -> None:
        async with served(authority) as here:
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = client_context(authority.ca).wrap_bio(incoming, outgoing, server_hostname=HERE)
            reader, writer = await here.connect(None)
            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(1 << 16))
            client.write(b"get a\n")
            sealed = bytearray(outgoing.read())
            sealed[-1 - at % 16] ^= 1  # of the record's tag
            writer.write(bytes(sealed) + data)
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
            await until(lambda: here.listener.status().open == 0)
            assert here.face.asked == []
            assert all(session.closed for session in here.face.sessions)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(scenario(), 20))
