"""`kvorum bench`: put load on a running cluster and say how it did."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

import click

from kvorum.bench import phases, processes, report
from kvorum.bench.distribution import DISTRIBUTIONS
from kvorum.bench.measurement import Measurement
from kvorum.bench.plan import Plan
from kvorum.bench.workload import WORKLOADS
from kvorum.cli.connection import asks_namespace, open_client, r_option, w_option
from kvorum.cli.listing.deletion import delete_all
from kvorum.cli.listing.selected import selected
from kvorum.cli.output import note, output_option, print_json
from kvorum.cli.parameter_types import Seconds
from kvorum.cli.progress import share_bar
from kvorum.cli.trials.bench_table import print_report
from kvorum.client.url import Target
from kvorum.model.errors import KvorumError, UnavailableError
from kvorum.runtime.loop import run

_PREFIX: Final = "bench:"
"""What the keys of a run begin with, and no others should."""

_COUNT: Final = click.IntRange(min=1)


@click.command()
@click.option(
    "--workload",
    type=click.Choice(tuple(WORKLOADS)),
    default="a",
    help="YCSB: a half updates, b 5% updates, c reads, d 5% inserts, f read-modify-writes.",
)
@click.option("--keys", type=_COUNT, default=10_000, help="How many keys.")
@click.option("--value-size", type=_COUNT, default=100, help="The size of a value, in bytes.")
@click.option(
    "--distribution",
    type=click.Choice(tuple(DISTRIBUTIONS)),
    help="How the keys are drawn.  [default: the workload's]",
)
@click.option(
    "--connections",
    type=click.IntRange(1, 10_000),
    default=64,
    help="How many connections, each with one request under way.",
)
@click.option(
    "--duration",
    "duration_s",
    type=Seconds(),
    default=10.0,
    metavar="SECONDS",
    help="How long to measure.",
)
@click.option(
    "--operations",
    type=_COUNT,
    help="End after this many operations, if that comes first.  [default: no limit]",
)
@click.option(
    "--load/--no-load",
    default=True,
    help="Store every key first; --no-load uses the keys that a run with --keep has left.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Leave the keys in the cluster at the end; with --no-load they always stay.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=1,
    help="How many processes make the load, to use more cores.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), help="The seed of keys and values.  [default: random]"
)
@r_option
@w_option
@click.option(
    "--max-error-share",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="The command fails if more errors occur per attempt.",
)
@asks_namespace
@output_option
def bench(
    target: Target,
    load: bool,
    keep: bool,
    max_error_share: float,
    output: str,
    **options: Any,
) -> None:
    """Measure a running cluster: throughput, latencies, errors.

    Each connection asks again as soon as it is answered. The keys are bench:00000000 and so on. At
    the end, also after Ctrl-C, all keys that begin with 'bench:' are deleted.

    \b
    kvorum bench --server 127.0.0.1:7400,127.0.0.1:7401,127.0.0.1:7402
    kvorum bench --workload put --value-size 1000 --duration 30 --keep
    kvorum bench --workload get --no-load -r 1 -o json
    """
    plan = _plan(target, **options)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with open_client(target) as client:
        cluster = client.status()
    with _leaving(target, keep=keep or not load, as_json=output == "json"):
        loaded = _load(plan) if load else None
        with share_bar("run", plan.duration_s, "operations") as bar:
            since = monotonic()
            measured = processes.run(plan, lambda done: bar.show(monotonic() - since, done))
        made = {"started": started, "cluster": cluster, **report.document(plan, loaded, measured)}
        if output == "json":
            print_json(made)
        else:
            print_report(made)
    if measured.error_share > max_error_share:
        raise UnavailableError(
            f"{measured.error_share:.3%} of the operations failed, most often with "
            f"{_most_common_error(measured)}. See the report, or allow more with "
            "--max-error-share."
        )


def _plan(target: Target, **options: Any) -> Plan:
    options["distribution"] = options["distribution"] or WORKLOADS[options["workload"]].distribution
    if options["seed"] is None:
        options["seed"] = secrets.randbits(32)
    return Plan(
        servers=target.servers,
        security=target.security,
        timeout_s=target.timeout,
        namespace=target.namespace,
        prefix=_PREFIX,
        read_quorum=options.pop("r"),
        write_quorum=options.pop("w"),
        **options,
    )


@contextmanager
def _leaving(target: Target, *, keep: bool, as_json: bool) -> Iterator[None]:
    """Unless they are to be kept, the keys of the run are deleted at the end, whatever ended it."""
    try:
        yield
    finally:
        if not keep:
            _delete_keys(target, as_json)


def _delete_keys(target: Target, as_json: bool) -> None:
    """What keeps them from being deleted is told, and does not take the place of the result."""
    entries = selected(target.namespace, _PREFIX)
    try:
        with open_client(target) as client:
            unreadable = delete_all(client, entries, as_json=as_json).unreadable
    except KvorumError as error:
        where = "" if target.namespace is None else f" --namespace {target.namespace}"
        note(
            f"the keys of this run were not deleted: {error.message} 'kvorum delete --prefix "
            f"{_PREFIX}{where}' deletes them.",
            as_json,
        )
    else:
        if unreadable:
            note(f"{len(unreadable)} damaged records stay; see 'kvorum status'", as_json)


def _load(plan: Plan) -> Measurement:
    with share_bar("load", plan.keys, "entries") as bar:
        loaded = run(phases.load(plan, lambda done: bar.show(done, done)))
    if loaded.error_count:
        raise UnavailableError(
            f"Only {loaded.success_count:,} of {plan.keys:,} entries were stored before the run, "
            f"then this: {_most_common_error(loaded)}. See 'kvorum status'."
        )
    return loaded


def _most_common_error(measured: Measurement) -> str:
    ((kind, reason), _), *_ = measured.errors.most_common(1)
    return f"{kind}: {reason}"
