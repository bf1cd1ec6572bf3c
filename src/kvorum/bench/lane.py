"""One caller of a closed loop: a connection and its operation in flight.

    connected   ask, wait for the answer, measure, ask again
    lost        count what was in flight as an error, sit out a moment, connect again
    ended       there is nothing more to ask

An operation without an answer in time is given up together with its connection, because
what comes on it later would be taken for the next answer.
"""

from __future__ import annotations

import asyncio
from errno import ECONNRESET
from time import perf_counter_ns
from typing import Final, Protocol

from kvorum.bench import reasons
from kvorum.bench.connection import Connection
from kvorum.bench.workload import Follow, Operation
from kvorum.model.address import Address
from kvorum.model.errors import ProtocolError

_SIT_OUT_S: Final = 0.1


class Run(Protocol):
    """What the lanes of a run share."""

    timeout_s: float

    def next_operation(self, now_ns: int) -> Operation | None:
        """None when the run is over."""

    def is_over(self, now_ns: int) -> bool: ...

    def on_success(self, kind: str, began_ns: int, now_ns: int) -> None: ...

    def on_error(self, kind: str, reason: str) -> None: ...

    def on_lane_ended(self) -> None: ...


class Lane:
    __slots__ = (
        "_active",
        "_began_ns",
        "_connection",
        "_operation",
        "_reconnection",
        "_run",
        "server",
    )

    def __init__(self, run: Run, server: Address) -> None:
        self.server = server
        self._run = run
        self._active = False
        self._connection: Connection | None = None
        self._operation: Operation | None = None
        self._began_ns = 0
        self._reconnection: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._run.timeout_s):
            _, connection = await loop.create_connection(
                lambda: Connection(self), self.server.host, self.server.port
            )
        if not connection.usable:
            raise ConnectionResetError(ECONNRESET, "lost as soon as it was made")
        self._connection = connection

    def start(self) -> None:
        self._active = True
        if self._connection is None:
            self._reconnect()
        else:
            self._ask(perf_counter_ns())

    def close(self) -> None:
        self._active = False
        if self._reconnection is not None:
            self._reconnection.cancel()
        if self._connection is not None:
            self._connection.close("closed by this side")

    def give_up_if_began_before(self, time_ns: int) -> None:
        if self._operation and self._connection and self._began_ns < time_ns:
            self._connection.close(reasons.TIMEOUT)

    # the connection's side

    def on_answer(self, status: int, body: bytes) -> None:
        operation = self._operation
        assert operation is not None, "a connection delivers only what was asked"
        now_ns = perf_counter_ns()
        if not 200 <= status < 300:
            self._run.on_error(operation.kind, reasons.of_answer(status, body))
        elif operation.follow is None:
            self._run.on_success(operation.kind, self._began_ns, now_ns)
        else:
            self._go_on(operation, operation.follow, body, now_ns)
            return
        self._ask(now_ns)

    def on_lost(self, reason: str) -> None:
        if self._connection is None:
            return  # `connect` has not taken it over, and has noticed
        self._connection = None
        if self._operation is not None:
            self._run.on_error(self._operation.kind, reason)
            self._operation = None
        if self._active:
            self._reconnect()

    def _go_on(self, operation: Operation, follow: Follow, body: bytes, now_ns: int) -> None:
        operation.follow = None
        try:
            request = follow(body)
        except ProtocolError:
            self._run.on_error(operation.kind, reasons.UNEXPECTED)
            self._ask(now_ns)
            return
        if request is None:
            self._run.on_success(operation.kind, self._began_ns, now_ns)
            self._ask(now_ns)
        elif self._connection is not None and self._connection.usable:
            self._connection.send(request)

    def _ask(self, now_ns: int) -> None:
        self._operation = None
        if self._connection is None or not self._connection.usable:
            return  # on_lost is on its way
        operation = self._operation = self._run.next_operation(now_ns)
        if operation is None:
            self._end()
        else:
            self._began_ns = now_ns
            self._connection.send(operation.request)

    def _end(self) -> None:
        self._active = False
        self._run.on_lane_ended()

    def _reconnect(self) -> None:
        self._reconnection = asyncio.get_running_loop().create_task(self._connect_again())

    async def _connect_again(self) -> None:
        while not self._run.is_over(perf_counter_ns()):
            await asyncio.sleep(_SIT_OUT_S)
            try:
                await self.connect()
            except OSError as error:
                self._run.on_error("connect", reasons.of_os_error(error))
            else:
                self._ask(perf_counter_ns())
                return
        self._end()
