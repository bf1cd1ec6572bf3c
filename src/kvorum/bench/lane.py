"""One caller of a closed loop: a connection and its operation in flight.

    connected   ask, wait for the answer, measure, ask again
    failed      the run says whether the operation is asked again; if not, it has ended
    lost        connect again, to the server that the run names now: to another one at once, to
                the same one after a moment
    ended       there is nothing more to ask

An operation without an answer in time is given up together with its connection, because
what comes on it later would be taken for the next answer.
"""

from __future__ import annotations

import asyncio
import ssl
from errno import ECONNRESET
from time import perf_counter_ns
from typing import Final, Protocol

from kvorum.bench import reasons
from kvorum.bench.connection import Connection
from kvorum.bench.reasons import Refusal
from kvorum.bench.workload import Follow, Operation
from kvorum.model.address import Address
from kvorum.model.errors import ProtocolError

_RECONNECT_PAUSE_S: Final = 0.1
_ASK_AGAIN_PAUSE_S: Final = 0.02


class Run(Protocol):
    """What the lanes of a run share: where they ask, what comes next, and what is counted."""

    timeout_s: float
    """For one operation, all its attempts together."""
    tls: ssl.SSLContext | None
    """That of all connections, if they have one."""

    def server_for(self, home: int) -> Address:
        """The server that lane number `home` asks now."""

    def next_operation(self, now_ns: int) -> Operation | None:
        """None when the run is over."""

    def is_over(self, now_ns: int) -> bool: ...

    def on_success(self, operation: Operation, began_ns: int, now_ns: int) -> None: ...

    def on_refused(self, operation: Operation, refusal: Refusal) -> bool:
        """The answer is no success; returns whether the operation is to be asked again."""

    def on_lost(self, operation: Operation, server: Address, reason: str) -> bool:
        """The connection or the operation's time ended first; returns whether to ask again."""

    def on_unreachable(self, server: Address, reason: str) -> None:
        """No connection could be made."""

    def on_lane_ended(self) -> None: ...


class Lane:
    """Caller number `home` of `run`."""

    def __init__(self, run: Run, home: int) -> None:
        self.server = run.server_for(home)
        self._home = home
        self._run = run
        self._active = False
        self._connection: Connection | None = None
        self._operation: Operation | None = None
        self._follow: Follow | None = None
        """What is left to do of the operation once it is answered."""
        self._began_ns = 0
        self._pause: asyncio.TimerHandle | None = None
        self._reconnection: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Raises OSError if `server` cannot be reached."""
        loop = asyncio.get_running_loop()
        host, port = self.server
        tls = self._run.tls
        async with asyncio.timeout(self._run.timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(self),
                host,
                port,
                ssl=tls,
                server_hostname=None if tls is None else host,
            )
        if not connection.usable:
            raise ConnectionResetError(ECONNRESET, "lost as soon as it was made")
        self._connection = connection

    def start(self) -> None:
        self._active = True
        if self._connection is None:
            self._reconnect()
        else:
            self._ask_next(perf_counter_ns())

    def close(self) -> None:
        """End at once; what is still in flight counts as nothing."""
        self._active = False
        self._operation = None
        self._end_pause()
        if self._reconnection is not None:
            self._reconnection.cancel()
        if self._connection is not None:
            self._connection.close("closed by this side")

    def give_up_if_began_before(self, time_ns: int) -> None:
        operation = self._operation
        if operation is None or self._began_ns >= time_ns:
            return
        if self._connection is not None:
            self._connection.close(reasons.TIMEOUT)
        elif not self._run.on_lost(operation, self.server, reasons.TIMEOUT):
            self._operation = None

    # the connection's side

    def on_answer(self, status: int, body: bytes) -> None:
        operation = self._operation
        assert operation is not None, "a connection delivers only what was asked"
        now_ns = perf_counter_ns()
        if not 200 <= status < 300:
            if self._run.on_refused(operation, reasons.of_answer(status, body)):
                operation.again = True
                self._pause = asyncio.get_running_loop().call_later(_ASK_AGAIN_PAUSE_S, self._ask)
                return
        elif self._follow is not None:
            self._go_on(operation, self._follow, body, now_ns)
            return
        else:
            self._run.on_success(operation, self._began_ns, now_ns)
        self._ask_next(now_ns)

    def on_lost(self, reason: str) -> None:
        if self._connection is None:
            return  # `connect` has not taken it over, and has noticed
        self._connection = None
        self._end_pause()
        operation = self._operation
        if operation is not None:
            operation.again = self._run.on_lost(operation, self.server, reason)
            if not operation.again:
                self._operation = None
        if self._active:
            self._reconnect()

    def _go_on(self, operation: Operation, follow: Follow, body: bytes, now_ns: int) -> None:
        self._follow = None
        try:
            request = follow(body)
        except ProtocolError:
            self._run.on_refused(operation, reasons.UNEXPECTED)
            self._ask_next(now_ns)
            return
        if request is None:
            self._run.on_success(operation, self._began_ns, now_ns)
            self._ask_next(now_ns)
        elif self._connection is not None and self._connection.usable:
            self._connection.send(request)

    def _ask_next(self, now_ns: int) -> None:
        self._operation = None
        connection = self._connection
        if connection is None or not connection.usable:
            return  # on_lost is on its way
        if self._run.server_for(self._home) != self.server:
            connection.close("asking another server")
            return
        self._operation = self._run.next_operation(now_ns)
        if self._operation is None:
            self._end()
        else:
            self._began_ns = now_ns
            self._ask()

    def _ask(self) -> None:
        """Ask for the operation, the first time or again."""
        self._pause = None
        operation, connection = self._operation, self._connection
        if operation is not None and connection is not None and connection.usable:
            self._follow = operation.follow
            connection.send(operation.request)

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _end(self) -> None:
        self._active = False
        self._run.on_lane_ended()

    def _reconnect(self) -> None:
        self._reconnection = asyncio.get_running_loop().create_task(self._connect_again())

    async def _connect_again(self) -> None:
        while self._operation is not None or not self._run.is_over(perf_counter_ns()):
            last, self.server = self.server, self._run.server_for(self._home)
            if self.server == last:
                await asyncio.sleep(_RECONNECT_PAUSE_S)
            try:
                await self.connect()
            except OSError as error:
                self._run.on_unreachable(self.server, reasons.of_os_error(error))
            else:
                self._take_up()
                return
        self._end()

    def _take_up(self) -> None:
        """Go on with the operation that was lost, or with the next one."""
        if self._operation is None:
            self._ask_next(perf_counter_ns())
        else:
            self._ask()
