"""The load generator's lanes, doing what clients do when their server dies.

    home       lane i's server is i modulo their number
    lost       the connection broke: its request is counted as in flight to that server, and
               asked again of the next one, at once
    unknown    the server says that it passed the request on, and does not know what became of
               it: counted, and asked again a moment later
    returned   the scenario says that a server is back: its lanes go home, one by one, as
               their answers come

A request ends in one of three ways: answered with success, which is noted in the journal
with the time since it was first asked; answered with another error, which is counted by its
reason; or not answered within its time, whatever servers it was asked of.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from journal import Journal

from kvorum.bench import reasons
from kvorum.bench.driver import give_up_late
from kvorum.bench.lane import Lane
from kvorum.bench.reasons import Refusal
from kvorum.bench.workload import Operation, Source
from kvorum.model.address import Address

TIMEOUT_S: Final = 2.0
"""For one request, all its attempts together: the default of a namespace."""
AGAIN: Final = ", asked again"
"""Ends the reason of an error of a request that had been lost or unknown before."""
_TICK_S: Final = 0.05


class Load:
    """The run of such lanes; `journal` and the counters are the scenario's to read."""

    timeout_s = TIMEOUT_S
    tls: ssl.SSLContext | None = None

    def __init__(self, servers: Sequence[Address], source: Source) -> None:
        self.servers = servers
        self.source = source
        self.journal = Journal()
        self.down: set[int] = set()
        self.broken: Counter[int] = Counter()
        """By server: requests whose connection broke while they waited."""
        self.unknown: Counter[str] = Counter()
        """By reason: requests of which a server said so, when they were asked the first time."""
        self.recovered = 0
        """Of both: answered with success when asked again, within the request's time."""
        self.errors: Counter[str] = Counter()

    def returned(self, server: int) -> None:
        self.down.discard(server)

    # the lanes' side

    def server_for(self, home: int) -> Address:
        """The lane's own, or else the next one that is not known to be down."""
        count = len(self.servers)
        walk = (self.servers[(home + step) % count] for step in range(count))
        up = (at for at in walk if self.servers.index(at) not in self.down)
        return next(up, self.servers[home % count])

    def next_operation(self, now_ns: int) -> Operation | None:
        return self.source.next()

    def is_over(self, now_ns: int) -> bool:
        return False

    def on_success(self, operation: Operation, began_ns: int, now_ns: int) -> None:
        self.recovered += operation.again
        self.journal.record(began_ns, now_ns)

    def on_refused(self, operation: Operation, refusal: Refusal) -> bool:
        if refusal.outcome == "unknown":
            self.unknown[refusal.reason] += not operation.again
            return True
        return self._failed(operation, refusal.reason)

    def on_lost(self, operation: Operation, server: Address, reason: str) -> bool:
        if reason == reasons.TIMEOUT:
            return self._failed(operation, reason)
        number = self.servers.index(server)
        self.broken[number] += not operation.again
        self.down.add(number)
        return True

    def on_unreachable(self, server: Address, reason: str) -> None:
        self.down.add(self.servers.index(server))

    def on_lane_ended(self) -> None:
        """They go on as long as the scenario."""

    def _failed(self, operation: Operation, reason: str) -> bool:
        self.errors[reason + AGAIN if operation.again else reason] += 1
        return False


@asynccontextmanager
async def running(load: Load, connections: int) -> AsyncIterator[None]:
    """Put `load` on its servers, with so many lanes, for the time of the block."""
    lanes = [Lane(load, i) for i in range(connections)]
    for lane in lanes:
        lane.start()
    watch = asyncio.create_task(_watch(lanes))
    try:
        yield
    finally:
        watch.cancel()
        for lane in lanes:
            lane.close()


async def _watch(lanes: list[Lane]) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        give_up_late(lanes, TIMEOUT_S)
