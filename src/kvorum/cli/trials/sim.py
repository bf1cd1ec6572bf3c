"""`kvorum sim`: run whole clusters in simulation and check that they keep what they promise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, Final

import click

from kvorum.cli.errors import ExitCode, one_line
from kvorum.cli.output import output_option, print_json, print_table
from kvorum.cli.progress import number_bar
from kvorum.sim.draw import draw
from kvorum.sim.run import Report, simulate
from kvorum.sim.summary import Summary

_SHOWN_MAX: Final = 3
"""Violations of one seed that a table shows; there may be hundreds with one cause."""

_CHUNK: Final = 8
"""Seeds that a worker process takes at a time."""

_SEED_MAX: Final = (1 << 63) - 1


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=100, help="How many seeds to run.")
@click.option(
    "--first-seed",
    type=click.IntRange(0, _SEED_MAX),
    default=0,
    help="The first seed; the others follow it.",
)
@click.option(
    "--nodes", type=click.IntRange(2, 32), help="Nodes of each cluster.  [default: drawn, 3 to 7]"
)
@click.option(
    "--operations",
    type=click.IntRange(1, 10_000),
    default=200,
    help="How many operations the clients of each cluster ask for.",
)
@click.option("--jobs", type=click.IntRange(1, 256), default=1, help="How many seeds run at once.")
@click.option("--trace", is_flag=True, help="Print every event of every run on stderr.")
@output_option
@click.pass_context
def sim(
    ctx: click.Context,
    seeds: int,
    first_seed: int,
    nodes: int | None,
    operations: int,
    jobs: int,
    trace: bool,
    output: str,
) -> None:
    """Search simulated clusters for lost writes and other broken promises.

    A seed decides everything: the cluster, its clients, what breaks and when. The nodes run
    the code of real ones on simulated time, network and disks. Ends with exit code 6 if a
    check fails, and prints the command that replays it.

    \b
    kvorum sim --seeds 1000 --jobs 2
    kvorum sim --seeds 1 --first-seed 42 --trace
    """
    if trace and jobs > 1:
        raise click.UsageError("--trace shows one run after another. Leave --jobs away")
    summary = Summary(nodes, operations)
    began = perf_counter()
    with number_bar("seeds", seeds, "failed", shown=not trace) as bar:
        for report in _reports(
            range(first_seed, first_seed + seeds), nodes, operations, jobs, trace
        ):
            summary.add(report)
            bar.show(summary.runs, len(summary.failures))
    wall_s = perf_counter() - began
    if output == "json":
        print_json(_document(summary, wall_s))
    else:
        _print_summary(summary, wall_s)
    if summary.failures:
        ctx.exit(ExitCode.REFUSED)


def _reports(
    seeds: range, nodes: int | None, operations: int, jobs: int, trace: bool
) -> Iterator[Report]:
    run = partial(_run, nodes=nodes, operations=operations, trace=trace)
    if jobs == 1:
        yield from map(run, seeds)
        return

    with ProcessPoolExecutor(jobs) as workers:
        yield from workers.map(run, seeds, chunksize=_CHUNK)


def _run(seed: int, nodes: int | None, operations: int, trace: bool) -> Report:

    # What nodes would log in earnest belongs to nobody here.
    logging.getLogger("kvorum").addHandler(logging.NullHandler())
    parameters = draw(seed, nodes, operations)
    if not trace:
        return simulate(parameters)
    click.echo(parameters, err=True)
    return simulate(parameters, partial(click.echo, err=True))


def _document(summary: Summary, wall_s: float) -> dict[str, Any]:
    return {
        "seeds": summary.runs,
        "failed": len(summary.failures),
        "operations": summary.operations,
        "acked": summary.acked,
        "refused": summary.refused,
        "unknown": summary.unknown,
        "faults": dict(summary.faults),
        "writes_forgotten": summary.writes_forgotten,
        "simulated_s": round(summary.simulated_s, 3),
        "wall_s": round(wall_s, 3),
        "seeds_per_minute": round(summary.runs / wall_s * 60),
        "failures": [
            {
                "seed": report.seed,
                "trace": report.trace,
                "violations": report.violations,
                "replay": summary.replay(report.seed),
            }
            for report in summary.failures
        ],
    }


def _print_summary(summary: Summary, wall_s: float) -> None:
    figures = _document(summary, wall_s)
    del figures["faults"], figures["failures"]
    print_table(
        "simulation",
        ("figure", "#value"),
        [(name.replace("_", " "), f"{value:,}") for name, value in figures.items()],
    )
    print_table(
        "faults", ("kind", "#times"), [(kind, f"{n:,}") for kind, n in summary.faults.items()]
    )
    for report in summary.failures:
        click.echo(f"\nseed {report.seed} failed {len(report.violations)} checks:")
        for violation in report.violations[:_SHOWN_MAX]:
            click.echo(f"  {one_line(violation)}")
        click.echo(f"  replay: {summary.replay(report.seed)}")
