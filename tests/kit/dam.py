"""A dam before a server: what clients send it gets through up to a level, and waits there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any, Final

from kit.waiting import DEADLINE_S

_PIECE: Final = 4096


class Dam:
    """Of all connections together; what the server answers is never held."""

    def __init__(self, behind: str) -> None:
        self.passed = 0
        """Bytes that have reached the server."""
        self._behind = behind.rpartition(":")[2]
        self._level = 0
        self._waiting = 0
        self._moved = asyncio.Condition()
        self._ending = asyncio.Event()
        self._open: Future[tuple[asyncio.AbstractEventLoop, int]] = Future()

    @property
    def server(self) -> str:
        return f"127.0.0.1:{self._open.result(DEADLINE_S)[1]}"

    @property
    def is_full(self) -> bool:
        """True while somebody waits for it to open."""
        return self._waiting > 0

    def raise_to(self, level: int) -> None:
        """Let as many bytes through, in all."""
        loop, _ = self._open.result(DEADLINE_S)
        asyncio.run_coroutine_threadsafe(self._raise_to(level), loop).result(DEADLINE_S)

    def live(self) -> None:
        asyncio.run(self._live())

    def end(self) -> None:
        loop, _ = self._open.result(DEADLINE_S)
        loop.call_soon_threadsafe(self._ending.set)

    async def _raise_to(self, level: int) -> None:
        async with self._moved:
            self._level = level
            self._moved.notify_all()

    async def _live(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self._open.set_result((asyncio.get_running_loop(), port))
        await self._ending.wait()
        server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        try:
            # A client that is killed breaks its connections; a dam that ends cancels them.
            with suppress(ConnectionError, asyncio.CancelledError):
                await _first(self._down(reader, far_writer), _back(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_PIECE):
            while data:
                count = await self._room(len(data))
                writer.write(data[:count])
                await writer.drain()
                data = data[count:]

    async def _room(self, wanted: int) -> int:
        """How many of `wanted` bytes may go through now, at least one."""
        async with self._moved:
            self._waiting += 1
            try:
                await self._moved.wait_for(lambda: self.passed < self._level)
            finally:
                self._waiting -= 1
            count = min(wanted, self._level - self.passed)
            self.passed += count
            return count


async def _back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()


async def _first(*ways: Coroutine[Any, Any, None]) -> None:
    """Until one of them has ended."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def dammed(server: str) -> Iterator[Dam]:
    """A dam before `server`; nothing gets through until it is raised."""
    dam = Dam(server)
    thread = threading.Thread(target=dam.live, name="dam")
    thread.start()
    try:
        yield dam
    finally:
        dam.end()
        thread.join(DEADLINE_S)
        assert not thread.is_alive(), "the dam does not end"
