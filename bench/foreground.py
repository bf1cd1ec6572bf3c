"""The clients that go on while nodes die, return and are repaired: half puts, half gets.

Their keys are drawn uniformly, and are none of those that a scenario has the dead node miss:
so what heals those is never a client's read or write.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any, Final

from failover import TIMEOUT_S, Load
from figures import Figure, at_most
from trio import Trio

from kvorum.bench import phases, workload
from kvorum.bench.plan import Plan
from kvorum.bench.report import latency
from kvorum.model.errors import KvorumError

KEYS: Final = 10_000
WARM_UP_S: Final = 2.0

_STOCKING_CONNECTIONS: Final = 32
_P99_RATIO_MAX: Final = 2.0


def now_ns() -> int:
    return perf_counter_ns()


async def stock(trio: Trio) -> None:
    """Store every key that the foreground asks for. Raises KvorumError if one is not stored."""
    stored = await phases.load(_plan(trio, _STOCKING_CONNECTIONS), lambda _: None)
    if stored.errors:
        raise KvorumError(f"An entry was not stored: {dict(stored.errors)}.")


def load_on(trio: Trio, connections: int) -> Load:
    return Load(trio.addresses, workload.Workload(_plan(trio, connections), 0))


def _plan(trio: Trio, connections: int) -> Plan:
    return Plan(
        servers=tuple(trio.addresses),
        workload="a",
        distribution="uniform",
        keys=KEYS,
        value_size=100,
        connections=connections,
        duration_s=0,
        operations=None,
        processes=1,
        timeout_s=TIMEOUT_S,
        seed=1,
    )


class Span:
    """A stretch of a load's time."""

    def __init__(self, load: Load, since_ns: int, until_ns: int) -> None:
        self.per_second = load.journal.per_second(since_ns, until_ns)
        self._latencies = load.journal.latencies(since_ns, until_ns)

    def milliseconds(self, share: float) -> float:
        return self._latencies.quantiles([share])[0] / 1e6

    def document(self) -> dict[str, Any]:
        return {"per_second": self.per_second, "latency_ms": latency(self._latencies)}


def comparison(before: Span, during: Span) -> list[Figure]:
    """Latencies before the failure and while it heals."""
    figures = [
        Figure(f"foreground {name} {when}", span.milliseconds(share), "ms")
        for name, share in (("p50", 0.5), ("p99", 0.99))
        for when, span in (("before", before), ("while healing", during))
    ]
    ratio = during.milliseconds(0.99) / before.milliseconds(0.99)
    return [*figures, Figure("foreground p99, ratio", ratio, "", at_most(_P99_RATIO_MAX))]
