"""Many connections, each asking again as soon as it is answered: a closed loop.

The number of requests in flight is fixed, so latency is that of a server under exactly this
many callers; a slow server is asked less, not later. Connections are spread over the servers
in turn. What goes wrong is counted under its reason, and the loop goes on.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

from kvorum.bench import reasons
from kvorum.bench.lane import Lane
from kvorum.bench.measurement import Measurement
from kvorum.bench.reasons import Refusal
from kvorum.bench.workload import Operation, Source
from kvorum.client.url import host_port
from kvorum.model.address import Address
from kvorum.model.errors import ConnectionFailed

Progress = Callable[[int], object]
"""Told now and then how many operations have ended."""

_TICK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends an operation (`timeout_s`) or the run: any of the others, or the source's end."""

    timeout_s: float
    duration_s: float | None = None
    operations: int | None = None
    errors: int | None = None


async def drive(
    servers: Sequence[Address],
    connections: int,
    source: Source,
    limits: Limits,
    progress: Progress,
    tls: ssl.SSLContext | None = None,
) -> Measurement:
    """Put the load of `source` on `servers`; returns what was measured. Raises ConnectionFailed if
    a server cannot be reached at the start."""
    run = _Run(servers, source, limits, tls)
    lanes = [Lane(run, i) for i in range(connections)]
    try:
        for lane in lanes:
            await _connect(lane)
        return await run.to_the_end(lanes, progress)
    finally:
        for lane in lanes:
            lane.close()


def give_up_late(lanes: Iterable[Lane], timeout_s: float) -> None:
    """Have lanes give up operations that began more than `timeout_s` ago."""
    since_ns = perf_counter_ns() - int(timeout_s * 1e9)
    for lane in lanes:
        lane.give_up_if_began_before(since_ns)


async def _connect(lane: Lane) -> None:
    try:
        await lane.connect()
    except OSError as error:
        raise ConnectionFailed(
            f"No server answers at {host_port(lane.server)}: {reasons.of_os_error(error)}. "
            "Start it, or name another one."
        ) from error


class _Run:
    """What the lanes of a run share."""

    def __init__(
        self,
        servers: Sequence[Address],
        source: Source,
        limits: Limits,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.timeout_s = limits.timeout_s
        self.tls = tls
        self._servers = servers
        self._source = source
        self._measurement = Measurement()
        self._duration_s = limits.duration_s
        self._end_ns = math.inf
        self._operations_left = math.inf if limits.operations is None else limits.operations
        self._errors_left = math.inf if limits.errors is None else limits.errors
        self._lanes_left = 0
        self._all_ended = asyncio.Event()
        self._done = 0
        self._last_ns = 0

    async def to_the_end(self, lanes: list[Lane], progress: Progress) -> Measurement:
        self._lanes_left = len(lanes)
        start_ns = self._last_ns = perf_counter_ns()
        if self._duration_s is not None:
            self._end_ns = start_ns + self._duration_s * 1e9
        for lane in lanes:
            lane.start()
        while not self._all_ended.is_set():
            await self._tick(lanes)
            progress(self._done)
        # A lane that waited for its timeout says nothing of the rate of the others.
        self._measurement.elapsed_s = (self._last_ns - start_ns) / 1e9
        return self._measurement

    async def _tick(self, lanes: list[Lane]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TICK_S):
                await self._all_ended.wait()
        give_up_late(lanes, self.timeout_s)

    # the lanes' side

    def server_for(self, home: int) -> Address:
        return self._servers[home % len(self._servers)]

    def next_operation(self, now_ns: int) -> Operation | None:
        if self.is_over(now_ns):
            return None
        self._operations_left -= 1
        operation = self._source.next()
        if operation is None:
            self._operations_left = 0
        return operation

    def is_over(self, now_ns: int) -> bool:
        return now_ns >= self._end_ns or self._operations_left <= 0 or self._errors_left <= 0

    def on_success(self, operation: Operation, began_ns: int, now_ns: int) -> None:
        self._done += 1
        self._last_ns = now_ns
        self._measurement.succeeded(operation.kind, now_ns - began_ns)

    def on_refused(self, operation: Operation, refusal: Refusal) -> bool:
        return self._failed(operation.kind, refusal.reason)

    def on_lost(self, operation: Operation, server: Address, reason: str) -> bool:
        return self._failed(operation.kind, reason)

    def on_unreachable(self, server: Address, reason: str) -> None:
        self._failed("connect", reason)

    def _failed(self, kind: str, reason: str) -> bool:
        self._done += 1
        self._errors_left -= 1
        self._measurement.failed(kind, reason)
        return False  # a failure is counted, and not hidden by asking again

    def on_lane_ended(self) -> None:
        self._lanes_left -= 1
        if not self._lanes_left:
            self._all_ended.set()
