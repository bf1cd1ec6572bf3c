"""The demo's figures, as a value: what the table shows and what `-o json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from kvorum.demo.ledger import Ledger
from kvorum.demo.traffic import Traffic

_NS_PER_MS: Final = 1e6
_KEYS_NAMED_MAX: Final = 20


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from a request to its answer."""

    p50: float
    p95: float
    p99: float
    max: float


class Phase(msgspec.Struct, frozen=True):
    """The figures of one phase of the demo."""

    name: str
    entries: int
    requests: int
    seconds: float
    per_second: float
    longest_silence_ms: float
    latency_ms: Latency
    unknown_repeated: int
    unserved_repeated: int

    @classmethod
    def of(cls, traffic: Traffic) -> Phase:
        quantiles = traffic.latencies.quantiles([0.5, 0.95, 0.99, 1.0])
        return cls(
            name=traffic.name,
            entries=traffic.entries,
            requests=traffic.latencies.count,
            seconds=round(traffic.seconds, 3),
            per_second=round(traffic.per_second, 1),
            longest_silence_ms=round(traffic.longest_silence_s * 1e3, 1),
            latency_ms=Latency(*(round(ns / _NS_PER_MS, 3) for ns in quantiles)),
            unknown_repeated=traffic.unknown,
            unserved_repeated=traffic.unserved,
        )


class Report(msgspec.Struct, frozen=True):
    """`checked` counts comparisons: each of the `entries` was read more than once."""

    ok: bool
    unicode: str
    entries: int
    checked: int
    lost: int
    mismatched: int
    unknown_repeated: int
    unserved_repeated: int
    seconds: float
    phases: list[Phase]
    lost_keys: list[str]
    """The first of them."""
    mismatched_keys: list[str]

    @classmethod
    def of(
        cls, unicode: str, ledger: Ledger, stretches: Iterable[Traffic], seconds: float
    ) -> Report:
        phases = [Phase.of(traffic) for traffic in stretches]
        return cls(
            ok=not ledger.lost and not ledger.mismatched,
            unicode=unicode,
            entries=len(ledger),
            checked=ledger.checked,
            lost=len(ledger.lost),
            mismatched=len(ledger.mismatched),
            unknown_repeated=sum(phase.unknown_repeated for phase in phases),
            unserved_repeated=sum(phase.unserved_repeated for phase in phases),
            seconds=round(seconds, 1),
            phases=phases,
            lost_keys=ledger.lost[:_KEYS_NAMED_MAX],
            mismatched_keys=ledger.mismatched[:_KEYS_NAMED_MAX],
        )
