"""The connections to one server, kept open and used again, at most `limit` at once.

A call that finds all of them busy waits for one, within its own deadline. The one used last
is used next, so the rest fall idle; an idle one is dropped before the server would, because
a write sent into a connection that is just being closed has an unknown outcome.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Final

from kvorum.client import handshake
from kvorum.client.access import PLAIN, Access
from kvorum.client.connection import Connection
from kvorum.client.url import host_port
from kvorum.model.address import Address
from kvorum.model.errors import ConnectionFailed, TimeoutExpired
from kvorum.runtime.standard_descriptors import fill_standard_descriptors

CONNECT_TIMEOUT_S: Final = 2.0
IDLE_S_MAX: Final = 10.0

IS_IT_RUNNING: Final = " Is it running?"


class Pool:
    """The connections to `server`, at most `limit`."""

    def __init__(self, server: Address, limit: int, access: Access = PLAIN) -> None:
        self._server = server
        self._name = host_port(server)
        self._limit = limit
        self._access = access
        self._free = asyncio.Semaphore(limit)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._closed = False

    async def acquire(self, until: float) -> Connection:
        """A usable connection, to be given back by `release`. Raises TimeoutExpired if none is free
        by `until`, ConnectionFailed if none can be made."""
        if self._free.locked():
            await self._wait_for_a_free_one(until)
        else:
            await self._free.acquire()
        try:
            return self._take_idle() or await self._connect(until)
        except BaseException:
            self._free.release()
            raise

    def release(self, connection: Connection) -> None:
        """Give back what `acquire` gave; it is used again if it can be."""
        if connection.usable:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()
        self._free.release()

    async def close(self) -> None:
        """Close every connection, also one that is just being opened; what is in flight fails."""
        self._closed = True
        connections = list(self._open)
        for connection in connections:
            connection.abort()
        await asyncio.gather(*(connection.lost for connection in connections))

    def _take_idle(self) -> Connection | None:
        oldest = asyncio.get_running_loop().time() - IDLE_S_MAX
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _wait_for_a_free_one(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._free.acquire()
        except TimeoutError as error:
            raise TimeoutExpired(
                f"No connection to {self._name} became free in time: all {self._limit} were busy."
            ) from error

    async def _connect(self, until: float) -> Connection:
        server = self._server
        patience = min(CONNECT_TIMEOUT_S, until - asyncio.get_running_loop().time())
        if patience <= 0:
            raise TimeoutExpired(f"The time was up before {self._name} was connected to.")
        self._access.refresh()
        context, security = self._access.context, self._access.security
        connection = Connection(self._name, security)
        try:
            fill_standard_descriptors()  # The program may have closed one since.
            async with asyncio.timeout(patience):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection,
                    server.host,
                    server.port,
                    ssl=context,
                    server_hostname=None if context is None else server.host,
                )
        except TimeoutError as error:
            hint = "" if context is None else " Does it speak TLS?"
            raise ConnectionFailed(
                f"No connection to {self._name} was made within {patience:.3g} s.{hint}"
            ) from error
        except ssl.SSLError as error:
            assert security is not None, "only TLS fails like this"
            raise handshake.refused(self._name, security, error) from error
        except OSError as error:
            raise ConnectionFailed(
                f"Could not connect to {self._name}: {_reason(error)}.{IS_IT_RUNNING}"
            ) from error
        if self._closed:
            connection.abort()
            raise ConnectionFailed(f"The client was closed while it connected to {self._name}.")
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._open.discard(connection))
        return connection


def _reason(error: OSError) -> str:
    """asyncio words a refused connection its own way; the system's words are the known ones."""
    if isinstance(error, ConnectionError) and error.errno is not None:
        return os.strerror(error.errno)
    return error.strerror or str(error)
