#!/usr/bin/env python3
"""kvorum and etcd on the same machine, one after the other, under the same load.

    for each round, for each system:
        start three nodes with empty data directories
        store all keys, read them back and compare
        for each way to spread the connections: warm up and measure puts, then gets
        stop them

The load is made by wrk: --connections in all, 100-byte values, uniformly drawn keys.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import disk
import wrk
from comparison import GET, PUT, Comparison
from etcd import ETCD
from kvorum_up import KVORUM
from preload import preload
from system import NODES, System

from kvorum.bench import machine
from kvorum.local.ports import free_port
from kvorum.model.errors import KvorumError

SYSTEMS: Final = {system.name: system for system in (ETCD, KVORUM)}
_COUNT: Final = click.IntRange(min=1)


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--rounds", type=_COUNT, default=3, show_default=True)
@click.option("--duration", type=_COUNT, default=10, show_default=True, help="Seconds measured.")
@click.option("--warm-up", type=_COUNT, default=2, show_default=True, help="Seconds before that.")
@click.option("--connections", type=click.IntRange(min=NODES), default=64, show_default=True)
@click.option("--keys", type=_COUNT, default=10_000, show_default=True)
@click.option(
    "--system",
    "names",
    type=click.Choice(tuple(SYSTEMS)),
    multiple=True,
    default=tuple(SYSTEMS),
    help="Measure this one only.",
)
@click.option(
    "--work-dir",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    default=tempfile.gettempdir(),
    show_default=True,
    help="Where data directories are made, and removed again.",
)
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table")
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Also as JSON, here.")
def main(
    names: tuple[str, ...], work_dir: Path, output: str, save: Path | None, **load: int
) -> None:
    # So that a terminated comparison, too, stops its servers and removes their data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        document, comparison = compare([SYSTEMS[name] for name in names], work_dir, load)
    except KvorumError as error:
        raise click.ClickException(error.message) from error
    text = json.dumps(document, indent=2)
    if save is not None:
        save.write_text(text + "\n")
    click.echo(text if output == "json" else comparison.table())
    if comparison.errors:
        raise click.ClickException(f"wanted no errors, got {comparison.errors}; see -o json")


def compare(
    systems: list[System], work_dir: Path, load: dict[str, int]
) -> tuple[dict[str, Any], Comparison]:
    disk.check(work_dir)
    document = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            **machine.facts(),
            "load_average": os.getloadavg(),
            "sync_ms": disk.sync_ms(work_dir),
        },
        "versions": {"wrk": wrk.version(), **{system.name: system.version() for system in systems}},
        "load": load,
    }
    comparison = Comparison()
    for number in range(1, load["rounds"] + 1):
        for system in systems:
            click.echo(f"round {number} of {load['rounds']}: {system.name}", err=True)
            with tempfile.TemporaryDirectory(prefix=f"{system.name}-", dir=work_dir) as directory:
                measure(system, Path(directory), load, comparison)
    return {**document, **comparison.document()}, comparison


def measure(system: System, directory: Path, load: dict[str, int], comparison: Comparison) -> None:
    """Start one system, and add to `comparison` what it does under `load`."""
    connections, keys = load["connections"], load["keys"]
    with system.start(directory, free_port(NODES)) as cluster:
        preload(system, cluster, keys, connections)
        for operation, script in ((PUT, system.put_script), (GET, system.get_script)):
            for name, targets in cluster.targets.items():
                wrk.run(script, targets, connections, keys, load["warm_up"])
                measured = wrk.run(script, targets, connections, keys, load["duration"])
                comparison.add(system.name, name, operation, measured)


if __name__ == "__main__":
    main()
