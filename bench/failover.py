"""A closed-loop load whose callers do what clients do when their server dies.

    home       caller i's server is i modulo their number
    lost       the connection broke: its request is counted as in flight to that server, and
               asked again of the next one, at once
    unknown    the server says that it passed the request on, and does not know what became of
               it: counted, and asked again a moment later
    returned   the scenario says that a server is back: its callers go home, one by one, as
               their answers come

A request ends in one of three ways: answered with success, which is noted in the journal
with the time since it was first asked; answered with another error, which is counted by its
code; or not answered within its time, whatever servers it was asked of.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from time import perf_counter_ns
from typing import Final

import msgspec
from journal import Journal

from kvorum.bench import reasons
from kvorum.bench.connection import Connection
from kvorum.bench.workload import Operation, Source
from kvorum.model.address import Address

TIMEOUT_S: Final = 2.0
"""For one request, all its attempts together: the default of a namespace."""
AGAIN: Final = ", asked again"
"""Ends the reason of an error of a request that had been lost or unknown before."""
_UNAVAILABLE: Final = 503
_TICK_S: Final = 0.05
_SIT_OUT_S: Final = 0.02


class _Problem(msgspec.Struct):
    outcome: str = ""


_problem: Final = msgspec.json.Decoder(_Problem)


class Load:
    """What the callers share; `journal` and the counters are the scenario's to read."""

    def __init__(self, servers: Sequence[Address], source: Source) -> None:
        self.servers = servers
        self.source = source
        self.journal = Journal()
        self.down: set[int] = set()
        self.broken: Counter[int] = Counter()
        """By server: requests whose connection broke while they waited."""
        self.unknown: Counter[str] = Counter()
        """By code: requests of which a server said so, when they were asked for the first time."""
        self.recovered = 0
        """Of both: answered with success when asked again, within the request's time."""
        self.errors: Counter[str] = Counter()

    def returned(self, server: int) -> None:
        self.down.discard(server)

    def server_for(self, home: int) -> int:
        """The caller's own, or else the next one that is not known to be down."""
        count = len(self.servers)
        walk = [(home + step) % count for step in range(count)]
        return next((server for server in walk if server not in self.down), home)


@asynccontextmanager
async def running(load: Load, connections: int) -> AsyncIterator[None]:
    """Put `load` on its servers, with so many callers, for the time of the block."""
    callers = [_Caller(load, i % len(load.servers)) for i in range(connections)]
    for caller in callers:
        caller.connect()
    watch = asyncio.create_task(_watch(callers))
    try:
        yield
    finally:
        watch.cancel()
        for caller in callers:
            caller.stop()


async def _watch(callers: list[_Caller]) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        since_ns = perf_counter_ns() - int(TIMEOUT_S * 1e9)
        for caller in callers:
            caller.give_up_if_began_before(since_ns)


class _Caller:
    __slots__ = (
        "_again",
        "_asked",
        "_began_ns",
        "_connection",
        "_home",
        "_load",
        "_operation",
        "_pause",
        "_server",
        "_stopped",
        "_task",
    )

    def __init__(self, load: Load, home: int) -> None:
        self._load = load
        self._home = home
        self._server = home
        self._connection: Connection | None = None
        self._operation: Operation | None = None
        self._began_ns = 0
        self._asked = False
        """The operation is with the server."""
        self._again = False
        """It was with one before."""
        self._stopped = False
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.TimerHandle | None = None

    def connect(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._connect())

    def stop(self) -> None:
        """What is still in flight counts as nothing."""
        self._stopped = True
        self._operation = None
        self._end_pause()
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.close("closed by this side")

    def give_up_if_began_before(self, time_ns: int) -> None:
        if self._operation is None or self._began_ns >= time_ns:
            return
        self._fail(reasons.TIMEOUT)
        if self._connection is not None:
            # What comes on it later would be taken for the next answer.
            self._asked = False
            self._connection.close(reasons.TIMEOUT)

    # the connection's side

    def on_answer(self, status: int, body: bytes) -> None:
        if not self._asked:
            return  # it was given up
        self._asked = False
        now_ns = perf_counter_ns()
        if 200 <= status < 300:
            self._load.recovered += self._again
            self._load.journal.record(self._began_ns, now_ns)
            self._operation = None
        elif status == _UNAVAILABLE and _outcome(body) == "unknown":
            self._load.unknown[reasons.of_answer(status, body)] += not self._again
            self._again = True
            self._pause = asyncio.get_running_loop().call_later(_SIT_OUT_S, self._go_on)
            return
        else:
            self._fail(reasons.of_answer(status, body))
        self._go_on()

    def on_lost(self, reason: str) -> None:
        if self._connection is None:
            return  # `_connect` has not taken it over, and has noticed
        self._connection = None
        self._end_pause()
        if self._stopped:
            return
        if self._asked:
            self._asked = False
            self._load.broken[self._server] += not self._again
            self._load.down.add(self._server)
            self._again = True
        self.connect()

    def _go_on(self) -> None:
        connection = self._connection
        if connection is None or not connection.usable:
            return  # on_lost is on its way
        if self._server != self._load.server_for(self._home):
            connection.close("going home")
            return
        if self._operation is None:
            self._operation = self._load.source.next()
            self._began_ns = perf_counter_ns()
            self._again = False
        if self._operation is not None:
            self._asked = True
            connection.send(self._operation.request)

    def _end_pause(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _fail(self, reason: str) -> None:
        self._load.errors[reason + AGAIN if self._again else reason] += 1
        self._operation = None

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._server = self._load.server_for(self._home)
            address = self._load.servers[self._server]
            try:
                _, connection = await loop.create_connection(
                    lambda: Connection(self), address.host, address.port
                )
            except OSError:
                self._load.down.add(self._server)
            else:
                if connection.usable:
                    self._connection = connection
                    self._go_on()
                    return
            await asyncio.sleep(_SIT_OUT_S)


def _outcome(body: bytes) -> str:
    try:
        return _problem.decode(body).outcome
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
