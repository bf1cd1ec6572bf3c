#!/usr/bin/env python3
"""kvorum and etcd on the same machine, in turn, under the same load.

Three nodes of each; `side_by_side.py` says how they take turns. The load is made by wrk:
--connections in all, 100-byte values, uniformly drawn keys.
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
from comparison import Comparison
from etcd import ETCD
from kvorum_up import KVORUM
from side_by_side import Plan, measure
from system import NODES, System

from kvorum.bench import machine
from kvorum.model.errors import KvorumError

SYSTEMS: Final = {system.name: system for system in (ETCD, KVORUM)}
_COUNT: Final = click.IntRange(min=1)


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--rounds", type=_COUNT, default=10, show_default=True)
@click.option("--duration", type=_COUNT, default=3, show_default=True, help="Seconds of each turn.")
@click.option("--warm-up", type=_COUNT, default=5, show_default=True, help="Seconds before that.")
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
    names: tuple[str, ...], work_dir: Path, output: str, save: Path | None, **plan: int
) -> None:
    # So that a terminated comparison, too, stops its servers and removes their data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        document, comparison = compare([SYSTEMS[name] for name in names], work_dir, Plan(**plan))
    except KvorumError as error:
        raise click.ClickException(error.message) from error
    text = json.dumps(document, indent=2)
    if save is not None:
        save.write_text(text + "\n")
    click.echo(text if output == "json" else comparison.table())
    if comparison.errors:
        raise click.ClickException(f"wanted no errors, got {comparison.errors}; see -o json")


def compare(systems: list[System], work_dir: Path, plan: Plan) -> tuple[dict[str, Any], Comparison]:
    document = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            **machine.facts(),
            "load_average": os.getloadavg(),
            "sync_ms": disk.sync_ms(work_dir),
        },
        "versions": {"wrk": wrk.version(), **{system.name: system.version() for system in systems}},
        "load": plan._asdict(),
    }
    comparison = Comparison()
    measure(systems, work_dir, plan, comparison)
    return {**document, **comparison.document()}, comparison


if __name__ == "__main__":
    main()
