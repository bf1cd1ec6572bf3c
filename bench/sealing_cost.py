#!/usr/bin/env python3
"""What encryption and compression cost: the same cluster with and without, side by side.

    sealed   as installed: AES-GCM-SIV, Zstandard, a dictionary
    open     encryption and compression off; checks of records stay, as they are part of the data

Both run at once and are loaded in turn (`side_by_side.py`), by `kvorum bench`'s load generator:
--connections in all, spread over all nodes, 100-byte values, uniformly drawn keys, three nodes,
N=3, R=W=2, every write synced before it is answered.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Final

import click
import report
import side_by_side
from comparison import Comparison, Turn
from kvorum_up import ALL_NODES, KVORUM, starter
from report import Report
from side_by_side import Candidate, Plan

from kvorum.bench import processes
from kvorum.bench.histogram import Histogram
from kvorum.bench.plan import Plan as BenchPlan
from kvorum.model.errors import KvorumError

SEALED: Final = dataclasses.replace(KVORUM, name="sealed", start=starter({}, [ALL_NODES]))
OPEN: Final = dataclasses.replace(
    KVORUM, name="open", start=starter({"encryption": "off", "compression": "off"}, [ALL_NODES])
)


@click.command(help=(__doc__ or "").partition("\n")[0])
@side_by_side.options
@report.options
def main(work_dir: Path, output: str, save: Path | None, **options: int) -> None:
    plan = Plan(**options)
    comparison = Comparison(SEALED.name, OPEN.name)
    try:
        document = {**report.circumstances(work_dir), "load": plan._asdict()}
        side_by_side.measure([OPEN, SEALED], work_dir, plan, load, comparison)
        told = Report(output=output, save=save)
        told.show({**document, **comparison.document()}, comparison.table())
        comparison.check()
    except KvorumError as error:
        raise click.ClickException(error.message) from error


def load(candidate: Candidate, operation: str, plan: Plan, duration_s: int) -> Turn:
    """By `kvorum bench`'s workloads `put` and `get`."""
    bench_plan = BenchPlan(
        servers=tuple(candidate.cluster.nodes),
        workload=operation,
        distribution="uniform",
        keys=plan.keys,
        value_size=100,
        connections=plan.connections,
        duration_s=duration_s,
        operations=None,
        processes=1,
        timeout_s=10.0,
        seed=1,
    )
    measured = processes.run(bench_plan, lambda _: None)
    latencies = Histogram()
    for histogram in measured.latencies.values():
        latencies.merge(histogram)
    errors = Counter({reason: count for (_, reason), count in measured.errors.items()})
    return Turn(measured.success_count, measured.per_second, errors, latencies)


if __name__ == "__main__":
    main()
