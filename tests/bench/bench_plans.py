"""Plans for tests: small, seeded, and of one process."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kvorum.bench.plan import Plan
from kvorum.model.address import Address

_PLAN: Final = Plan(
    servers=(Address("127.0.0.1", 7400),),
    workload="a",
    distribution="zipfian",
    keys=100,
    value_size=100,
    connections=4,
    duration_s=60.0,
    operations=200,
    processes=1,
    timeout_s=10.0,
    seed=1,
)


def make_plan(**changes: Any) -> Plan:
    return replace(_PLAN, **changes)


def plan_for(port: int, **changes: Any) -> Plan:
    return make_plan(**{"servers": (Address("127.0.0.1", port),), **changes})
