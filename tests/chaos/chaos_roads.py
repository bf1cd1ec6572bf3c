"""Roads: what a proxy does to the bytes that pass it, in one direction between two nodes.

    blocked     what is sent waits, the end of a connection too, and the connection stays open
    delay       each piece arrives that much later, plus up to `jitter_s`; in order, as TCP is

A road takes in no more than `_PIECES_MAX` pieces. Then it stops reading, and the sender
feels it, as it would feel a full pipe.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Final

_PIECE_BYTES: Final = 64 << 10
_PIECES_MAX: Final = 64
_END: Final = b""


class Road:
    """For all connections between the two, whoever dialed them. Belongs to one event loop."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.jitter_s = 0.0
        self._clear = asyncio.Event()
        self._clear.set()

    def block(self) -> None:
        self._clear.clear()

    def unblock(self) -> None:
        self._clear.set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Returns when the end of what `reader` gives has reached `writer`."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_PIECES_MAX)
        loading = asyncio.create_task(self._load(reader, under_way))
        try:
            await self._unload(under_way, writer)
        finally:
            loading.cancel()

    async def _load(
        self, reader: asyncio.StreamReader, under_way: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        now = asyncio.get_running_loop().time
        piece = b"begin"
        while piece != _END:
            try:
                piece = await reader.read(_PIECE_BYTES)
            except OSError:
                piece = _END
            due = now() + self.delay_s + random.uniform(0.0, self.jitter_s)
            await under_way.put((due, piece))

    async def _unload(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        now = asyncio.get_running_loop().time
        while True:
            due, piece = await under_way.get()
            if due > now():
                await asyncio.sleep(due - now())
            await self._clear.wait()
            if piece == _END:
                return
            writer.write(piece)
            try:
                await writer.drain()
            except OSError:  # whoever it was for is gone
                return


async def join(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    there: Road,
    back: Road,
) -> None:
    """Carry both ways until one of them is at its end; then both connections are closed."""
    ways = [
        asyncio.create_task(there.carry(near[0], far[1])),
        asyncio.create_task(back.carry(far[0], near[1])),
    ]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        for way in ways:
            with suppress(asyncio.CancelledError):
                await way
        for writer in (near[1], far[1]):
            writer.close()
