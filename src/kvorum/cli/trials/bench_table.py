"""The report of a bench run as tables."""

from __future__ import annotations

from typing import Any

import click

from kvorum.cli.output import print_table

Document = dict[str, Any]

_LATENCIES = ("mean", "p50", "p90", "p99", "p99.9", "max")


def print_report(report: Document) -> None:
    run = report["run"]
    print_table(
        _title(report["plan"]),
        ("operation", "#count", "#per second", *(f"#{name} ms" for name in _LATENCIES)),
        [_row(kind, figures, run["elapsed_s"]) for kind, figures in run["latency_ms"].items()],
    )
    if run["errors"]:
        print_table(
            f"errors: {run['error_share']:.3%} of attempts",
            ("operation", "reason", "#count"),
            [(e["operation"], e["reason"], f"{e['count']:,}") for e in run["errors"]],
        )
    click.echo(_summary(report))


def _title(plan: Document) -> str:
    return (
        f"workload {plan['workload']}, {plan['keys']:,} keys {plan['distribution']}, "
        f"{plan['value_size']:,}-byte values, {plan['connections']} connections "
        f"to {', '.join(plan['servers'])}"
    )


def _row(kind: str, figures: Document, elapsed_s: float) -> list[str]:
    latencies = [f"{figures[name]:.2f}" for name in _LATENCIES]
    return [kind, f"{figures['count']:,}", f"{figures['count'] / elapsed_s:,.0f}", *latencies]


def _summary(report: Document) -> str:
    run, load = report["run"], report["load"]
    failed = sum(error["count"] for error in run["errors"])
    text = (
        f"{run['operations']:,} operations in {run['elapsed_s']:.1f} s: "
        f"{run['per_second']:,.0f} per second, errors: {failed:,}"
    )
    return text if load is None else f"{text}; load: {load['per_second']:,.0f} per second"
