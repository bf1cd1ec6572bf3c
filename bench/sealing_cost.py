#!/usr/bin/env python3
"""What encryption and compression cost: the same cluster with and without, side by side.

    sealed   as installed: AES-GCM-SIV, Zstandard, a dictionary
    open     encryption and compression off; checks of records stay, as they are part of the data

Both run at once and are loaded in turn (`side_by_side.py`), with wrk: --connections in all,
100-byte values, uniformly drawn keys, three nodes, N=3, R=W=2, every write synced before it is
answered.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import wrk
from comparison import Comparison
from kvorum_up import KVORUM, starter
from side_by_side import Plan, measure
from system import NODES

from kvorum import __version__
from kvorum.bench import machine
from kvorum.model.errors import KvorumError

SEALED: Final = dataclasses.replace(KVORUM, name="sealed")
OPEN: Final = dataclasses.replace(
    KVORUM, name="open", start=starter({"encryption": "off", "compression": "off"})
)
_COUNT: Final = click.IntRange(min=1)


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--rounds", type=_COUNT, default=10, show_default=True)
@click.option("--duration", type=_COUNT, default=3, show_default=True, help="Seconds of each turn.")
@click.option("--warm-up", type=_COUNT, default=5, show_default=True, help="Seconds before that.")
@click.option("--connections", type=click.IntRange(min=NODES), default=64, show_default=True)
@click.option("--keys", type=_COUNT, default=10_000, show_default=True)
@click.option("-o", "--output", type=click.Choice(("table", "json")), default="table")
def main(output: str, **options: int) -> None:
    # So that a terminated comparison, too, stops its servers and removes their data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    plan = Plan(**options)
    comparison = Comparison(SEALED.name, OPEN.name)
    try:
        measure([OPEN, SEALED], Path(tempfile.gettempdir()), plan, comparison)
    except KvorumError as error:
        raise click.ClickException(error.message) from error
    click.echo(
        json.dumps({**circumstances(plan), **comparison.document()}, indent=2)
        if output == "json"
        else comparison.table()
    )
    if comparison.errors:
        raise click.ClickException(f"wanted no errors, got {comparison.errors}; see -o json")


def circumstances(plan: Plan) -> dict[str, Any]:
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {**machine.facts(), "load_average": os.getloadavg()},
        "versions": {"wrk": wrk.version(), "kvorum": __version__},
        "load": plan._asdict(),
    }


if __name__ == "__main__":
    main()
