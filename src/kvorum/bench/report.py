"""The outcome of a bench run as one document that JSON can hold.

In it is all that is needed to repeat the figures: the plan with its seed, the versions, the
machine. Latencies are in milliseconds.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

from kvorum import __version__
from kvorum.bench import machine
from kvorum.bench.histogram import Histogram
from kvorum.bench.measurement import Measurement
from kvorum.bench.plan import Plan
from kvorum.client.url import host_port

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

Document = dict[str, Any]


def document(plan: Plan, loaded: Measurement | None, measured: Measurement) -> Document:
    return {
        "kvorum": __version__,
        "machine": machine.facts(),
        "plan": _told(plan),
        "load": None if loaded is None else phase(loaded),
        "run": phase(measured),
    }


def _told(plan: Plan) -> Document:
    """The plan without credentials."""
    told = asdict(replace(plan, security=None)) | {"servers": list(map(host_port, plan.servers))}
    del told["security"]
    return told | {"tls": plan.security is not None}


def phase(measured: Measurement) -> Document:
    return {
        "elapsed_s": measured.elapsed_s,
        "operations": measured.success_count,
        "per_second": measured.per_second,
        "error_share": measured.error_share,
        "errors": [
            {"operation": kind, "reason": reason, "count": count}
            for (kind, reason), count in measured.errors.most_common()
        ],
        "latency_ms": {
            kind: latency(histogram) for kind, histogram in sorted(measured.latencies.items())
        },
    }


def latency(histogram: Histogram) -> Document:
    """Of a histogram of nanoseconds, in milliseconds."""
    quantiles = zip(QUANTILES, histogram.quantiles(QUANTILES.values()), strict=True)
    return {
        "count": histogram.count,
        "mean": histogram.mean / 1e6,
        **{name: value / 1e6 for name, value in quantiles},
        "max": histogram.highest / 1e6,
    }
