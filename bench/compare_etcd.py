#!/usr/bin/env python3
"""kvorum and etcd on the same machine, in turn, under the same load.

Three nodes of each; `side_by_side.py` says how they take turns. The load is made by wrk:
--connections in all, 100-byte values, uniformly drawn keys.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
import report
import side_by_side
import wrk
from comparison import Comparison
from etcd import ETCD
from kvorum_up import KVORUM
from report import Report
from side_by_side import Plan
from system import System

from kvorum.model.errors import KvorumError

SYSTEMS: Final = {system.name: system for system in (ETCD, KVORUM)}


@click.command(help=(__doc__ or "").partition("\n")[0])
@side_by_side.options
@click.option(
    "--system",
    "names",
    type=click.Choice(tuple(SYSTEMS)),
    multiple=True,
    default=tuple(SYSTEMS),
    help="Measure this one only.",
)
@report.options
def main(
    names: tuple[str, ...], work_dir: Path, output: str, save: Path | None, **plan: int
) -> None:
    systems = [SYSTEMS[name] for name in names]
    try:
        compare(systems, work_dir, Plan(**plan), Report(output=output, save=save))
    except KvorumError as error:
        raise click.ClickException(error.message) from error


def compare(systems: list[System], work_dir: Path, plan: Plan, told: Report) -> None:
    """Measure and print; raises KvorumError if a request failed, or a server."""
    document = {
        **report.circumstances(work_dir),
        "versions": {"wrk": wrk.version(), **{system.name: system.version() for system in systems}},
        "load": plan._asdict(),
    }
    comparison = Comparison()
    side_by_side.measure(systems, work_dir, plan, wrk.load, comparison)
    told.show({**document, **comparison.document()}, comparison.table())
    comparison.check()


if __name__ == "__main__":
    main()
