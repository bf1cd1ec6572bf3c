"""What TLS costs a listener: processor time per request in plain text, under uvloop's TLS and ours.

    python bench/tls_cost.py

The clients are another process, so their share is not counted. The three are measured in turns, and
the best of three rounds is shown.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from kvorum.certificates.authority import Authority
from kvorum.listener.connection import Connection
from kvorum.listener.face import Line
from kvorum.listener.listener import Listener
from kvorum.model.errors import KvorumError
from kvorum.runtime.loop import LoopRuntime, run
from kvorum.tls.client import client_context
from kvorum.tls.files import TlsFiles
from kvorum.tls.node_tls import NodeTls

HOST: Final = "127.0.0.1"
CONNECTIONS: Final = 16
ROUNDS: Final = 3
REQUEST: Final = b"k" * 100 + b"\n"
WORK: Final = ((100, 1500), (16_000, 400), (200_000, 60))
"""Bytes of an answer, and requests on each connection."""


class Exchange:
    """A line that was sent, and the answer to it."""

    is_safe = True
    held = 0
    response = b""

    def end(self) -> None:
        """Lines do not say that they are the last."""

    def refuse(self, error: KvorumError) -> None:
        raise error

    def fail(self) -> None:
        raise RuntimeError


class Session:
    """Answers each line with the same bytes."""

    appetite = 1 << 20
    begun = 0
    held = 0
    reading = False

    def __init__(self, answer: bytes, line: Line) -> None:
        self._answer = answer
        self._line = line

    def feed(self, _piece: bytes | memoryview) -> None:
        self._line.on_request(Exchange(), self._handle)

    def _handle(self, exchange: Exchange) -> None:
        exchange.response = self._answer
        self._line.on_response(exchange)

    def last_word(self) -> Exchange:
        return Exchange()

    def close(self) -> None:
        """Nothing is held."""


class LineFace:
    """The protocol of `Session`."""

    port_option = "--port"

    def __init__(self, size: int) -> None:
        self.session = partial(Session, b"x" * size + b"\n")

    def on_tick(self, _wall_ms: int) -> None:
        """Nothing depends on the time."""


async def ask(port: int, count: int, size: int, ca: str) -> None:
    """The clients: each asks `count` times, one after the other."""
    tls = client_context(Path(ca)) if ca else None

    async def one() -> None:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=tls, limit=1 << 20)
        for _ in range(count):
            writer.write(REQUEST)
            await reader.readexactly(size + 1)
        writer.transport.abort()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


async def cost(kind: str, tls: NodeTls, ca: Path, size: int, count: int) -> float:
    """Microseconds of this process per request."""
    loop = asyncio.get_running_loop()
    listener, face = Listener(LoopRuntime(loop)), LineFace(size)
    server = None
    if kind == "uvloop":
        make: Callable[[], Connection] = partial(Connection, listener, face)
        server = await loop.create_server(make, HOST, 0, ssl=tls.for_clients())
        port = server.sockets[0].getsockname()[1]
    else:
        _, port = await listener.listen(face, HOST, 0, tls if kind == "kvorum" else None)
    began = time.process_time()
    arguments = [__file__, str(port), str(count), str(size), "" if kind == "plain" else str(ca)]
    clients = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    if await clients.wait():
        raise SystemExit("the clients failed")
    spent = time.process_time() - began
    await listener.close(0.1)
    if server is not None:
        server.close()
    return 1e6 * spent / (count * CONNECTIONS)


async def measure() -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name) / "certs"
        Authority.create(directory, "bench").issue_node("n1", [HOST])
        files = TlsFiles(directory, "n1")
        tls = NodeTls(files, "bench", lambda _serial: False)
        for size, count in WORK:
            best: dict[str, float] = {}
            for _ in range(ROUNDS):
                for kind in ("plain", "uvloop", "kvorum"):
                    spent = await cost(kind, tls, files.authority, size, count)
                    best[kind] = min(spent, best.get(kind, spent))
            figures = ", ".join(f"{kind} {spent:.1f} us" for kind, spent in best.items())
            print(f"{size} bytes: {figures}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(ask(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
    else:
        run(measure())
