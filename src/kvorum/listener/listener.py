"""The listener: takes connections, keeps count of what they hold, and sweeps deadlines.

It listens at any number of ports, each with a protocol of its own (`face.py`). They share its
bounds, so that clients of one protocol do not hold more of the node than those of another leave.

Responses that are made in one turn of the loop leave at its end, one system call after the
other. A write wakes a client on the same machine, and the system may let it run at once, in the
place of this process. So a response that is written as soon as it is made costs two switches of
the processor, and much of what its caches held; at the end of a turn all of them together do.

Connections are bounded: each takes a descriptor, and clients must not take those that the node
needs for its files (`runtime/descriptors.py`). When there are as many as may be, the one that has
been idle the longest is given up for each new one; so clients that connect and say nothing lock
nobody out. A connection with a request under way is never given up. Where all have one, the new one
is refused.

Under TLS a connection is counted from the start and made known when its handshake is complete.
Handshakes that are not make room before any client that has completed its own, the oldest first;
but for a few, since where all places are taken, clients that come at the same time would give up
each other.

A planned stop goes in two steps, and no client meets an error (RFC 9112, section 9.6):

    leave    each connection's next request is its last, and its answer says so
    close    no more connections; those that are idle are told that nothing was done, and closed;
             what has begun is finished, and the rest is cut off
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from kvorum.documents.status import Connections
from kvorum.listener.connection import Connection
from kvorum.listener.face import Face
from kvorum.listener.last_call import refuse_further_connections
from kvorum.listener.limits import ListenerLimits
from kvorum.listener.refusals import too_many_large_requests
from kvorum.listener.unread_answers import UnreadAnswers
from kvorum.model.errors import ConfigError
from kvorum.runtime.loop import LoopRuntime
from kvorum.runtime.ports import Cancellable
from kvorum.tls.handshakes import Handshakes
from kvorum.tls.node_tls import NodeTls
from kvorum.tls.port import TlsPort
from kvorum.tls.strangers import FailureLog, answer_plain_http
from kvorum.tls.transport import TlsTransport

DRAIN_S: Final = 10.0
_LAST_CALL_S: Final = 0.02
_QUIET_S: Final = 0.2
"""Clients that have been told to come on another connection would have come by then."""
_TELL_EVERY_S: Final = 60.0
_SPARED_PART: Final = 64
"""One in so many places may go to a handshake while an idle connection could be given up for it."""
_logger: Final = logging.getLogger(__name__)


class Listener:
    """`await listen(...)`, then it serves until `await close()`."""

    def __init__(self, runtime: LoopRuntime, limits: ListenerLimits | None = None) -> None:
        self.limits = limits or ListenerLimits()
        self._runtime = runtime
        self._connections: dict[Connection, None] = {}
        """In the order in which they came."""
        self._accepted = 0
        self._given_up = 0
        self._refused = 0
        self._told_at: float | None = None
        self._empty = asyncio.Event()
        self._ready: list[Connection] = []
        self._held = 0
        self.tick = 0
        self.leaving = False
        limits = self.limits
        stalled = limits.ticks(limits.stalled_s)
        self.answers = UnreadAnswers(self._connections, limits.unread_bytes, stalled)
        self._handshakes = Handshakes(limits.handshake_s, self._make_room)
        self._failures = FailureLog(_logger, runtime.now)
        self._faces: list[Face] = []
        self._servers: list[asyncio.Server] = []
        self._sweeper: Cancellable | None = None

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    def status(self) -> Connections:
        """How many connections there are and may be, and what became of others."""
        return Connections(
            open=len(self._connections) + len(self._handshakes),
            max=self.limits.connections,
            accepted=self._accepted,
            given_up=self._given_up + self._handshakes.given_up,
            refused=self._refused,
            responses=self.answers.made,
            unread_bytes=self.answers.bytes,
            unread_bytes_max=self.answers.limit,
        )

    async def listen(
        self, face: Face, host: str, port: int, tls: NodeTls | None = None
    ) -> tuple[str, int]:
        """Take clients of `face` at this address; returns it (port 0 takes a free one).

        `tls`: None where plain text is spoken. Raises ConfigError.
        """
        face.on_tick(self._runtime.wall_ms())
        make: Callable[[], asyncio.Protocol] = partial(Connection, self, face)
        if tls is not None:
            make = partial(TlsTransport, self._tls_port(tls), make)
        try:
            server = await self._runtime.loop.create_server(
                make, host, port, backlog=self.limits.backlog
            )
        except OSError as error:
            raise _cannot_listen(host, port, face, error) from error
        self._faces.append(face)
        self._servers.append(server)
        if self._sweeper is None:
            self._sweep()
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    def _tls_port(self, tls: NodeTls) -> TlsPort:
        return TlsPort(tls.client_end(), self._handshakes, self._failures.note, answer_plain_http)

    def revoke(self, serials: Collection[str]) -> None:
        """Close the connections of clients that have shown a certificate with one of these serial
        numbers, in lower-case hex; requests under way are cut off."""
        for connection in list(self._connections):
            certified = connection.caller.certified
            if certified is not None and certified.serial in serials:
                connection.abort()

    async def leave(self, grace_s: float) -> None:
        """Go on for `grace_s` while clients turn to other nodes; less if all have gone."""
        self.leaving = True
        for connection in list(self._connections):
            connection.take_leave()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet(), grace_s)
        await self._last_call()

    async def _last_call(self) -> None:
        """Accept what has connected, and nothing more."""
        for server in self._servers:
            for listening in server.sockets:
                refuse_further_connections(listening.fileno())
        await asyncio.sleep(_LAST_CALL_S)

    async def _quiet(self) -> None:
        """Returns when there has been no connection for a moment, or none at all."""
        while self._connections:
            await self._all_gone()
            await asyncio.sleep(_QUIET_S)

    async def close(self, drain_s: float = DRAIN_S) -> None:
        """Take no more connections, finish requests that have begun, and close.

        What is not finished after `drain_s` is cut off.
        """
        for server in self._servers:
            server.close()
        self._handshakes.abort()
        for connection in list(self._connections):
            connection.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_gone(), drain_s)
        for connection in list(self._connections):
            connection.abort()
        await self._all_gone()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _all_gone(self) -> None:
        while self._connections:
            self._empty.clear()
            await self._empty.wait()

    # The connections' side

    def admit(self, connection: Connection) -> bool:
        """See `Host`."""
        if not self._make_room():
            return False
        self._accepted += 1
        self._connections[connection] = None
        return True

    def _make_room(self) -> bool:
        """False if there is none for one more connection."""
        most = self.limits.connections
        if len(self._connections) + len(self._handshakes) < most:
            return True
        self._tell_of_bound()
        made = (
            self._handshakes.give_up_oldest(spared=most // _SPARED_PART)
            or self._give_up_idle()
            or self._handshakes.give_up_oldest()
        )
        if not made:
            self._refused += 1
        return made

    def _give_up_idle(self) -> bool:
        """Give up the connection that has been idle the longest. False if none is."""
        idle = (connection for connection in self._connections if connection.is_idle)
        longest = min(idle, key=lambda connection: connection.idle_since, default=None)
        if longest is None:
            return False
        self._given_up += 1
        longest.give_up()
        self.forget(longest)
        return True

    def _tell_of_bound(self) -> None:
        now = self._runtime.now()
        if self._told_at is None or now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            _logger.warning(
                "clients have all %d connections that this node can have: for each new one the one "
                "that is idle the longest is given up, and where none is idle the new one is "
                "refused; close those that are not used, and raise the limit of open files "
                "(ulimit -n) if it is below 2,000",
                self.limits.connections,
            )

    def forget(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        if not self._connections:
            self._empty.set()

    def hold(self, size: int) -> None:
        """See `Host`."""
        if self._held + size > self.limits.large_bodies_bytes:
            raise too_many_large_requests(self.limits.large_bodies_bytes)
        self._held += size

    def release(self, size: int) -> None:
        self._held -= size

    def write_soon(self, connection: Connection) -> None:
        if not self._ready:
            self._runtime.call_soon(self._write_ready)
        self._ready.append(connection)

    def _write_ready(self) -> None:
        # A connection counts for one; it adds the others itself, where it has several.
        self.answers.made += len(self._ready)
        ready, self._ready = iter(self._ready), []
        try:
            for connection in ready:
                connection.write_ready()
        finally:
            # A connection that fails must not cost the others their answers.
            for connection in ready:
                self.write_soon(connection)

    # Once a tick

    def _sweep(self) -> None:
        self._sweeper = self._runtime.call_later(self.limits.tick_s, self._sweep)
        self.tick += 1
        wall_ms = self._runtime.wall_ms()
        for face in self._faces:
            face.on_tick(wall_ms)
        for connection in list(self._connections):
            connection.sweep(self.tick)
        self.answers.tick = self.tick
        self.answers.relieve()


def _cannot_listen(host: str, port: int, face: Face, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            f"Cannot listen on {host}:{port}: another program has that port. Stop it, or choose "
            f"another port with {face.port_option}."
        )
    return ConfigError(f"Cannot listen on {host}:{port}: {error.strerror or error}.")
