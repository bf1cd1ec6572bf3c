#!/usr/bin/env python3
"""How many instructions a get and a put take: HTTP, service, and replication on three nodes.

    bytes of a request ──> connection ──> service ──> three replicators ──> bytes of the answer

All of it runs in one process, with the doubles of `tests/kit` for sockets, links and disks: 32
connections to one node send a request each, and are answered together. valgrind counts the
instructions of two runs of different length, so that the start cancels out. What the kernel does
is not counted, nor what links, journal and disks take. The count does not depend on what else the
machine does.

The kinds "embedded" and "sqlite" are calls of an embedded store and of SQLite, on files.

    python bench/instructions.py                         # of this checkout
    python bench/instructions.py --against ../another    # side by side with another one
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from kvorum.cli.output import print_table
from kvorum.model.errors import KvorumError

HERE: Final = Path(__file__).parents[1]
REPLICATED: Final = Path(__file__).with_name("instructions_work.py")
EMBEDDED: Final = Path(__file__).with_name("instructions_embedded.py")
WORK: Final = {
    "get": REPLICATED,
    "put": REPLICATED,
    "embedded get": EMBEDDED,
    "embedded set": EMBEDDED,
    "sqlite get": EMBEDDED,
    "sqlite set": EMBEDDED,
}
SHORT, LONG = 320, 1600


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Another checkout, to be compared with.",
)
@click.option("--only", type=click.Choice(list(WORK)), multiple=True, help="One of the kinds.")
def main(against: Path | None, only: tuple[str, ...]) -> None:
    rows: list[tuple[str, ...]] = []
    for kind in only or WORK:
        here = per_request(HERE, kind)
        if against is None:
            rows.append((kind, f"{here:,}"))
        else:
            there = per_request(against, kind)
            rows.append((kind, f"{here:,}", f"{there:,}", f"{here / there:.3f}"))
    columns = ("", "#here") if against is None else ("", "#here", "#there", "#ratio")
    print_table("instructions per request", columns, rows)


def per_request(checkout: Path, kind: str) -> int:
    """The instructions of one request of this kind. Raises KvorumError."""
    return (counted(checkout, kind, LONG) - counted(checkout, kind, SHORT)) // (LONG - SHORT)


def counted(checkout: Path, kind: str, requests: int) -> int:
    """The instructions of a process that makes so many requests. Raises KvorumError."""
    root = checkout.resolve()
    paths = f"{root / 'src'}{os.pathsep}{root / 'tests'}"
    run = subprocess.run(
        [
            *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"),
            *(sys.executable, str(WORK[kind]), kind, str(requests)),
        ],
        env=os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or found is None:
        raise KvorumError(f"The run of {kind} in {root} failed:\n{run.stderr[-2000:]}")
    return int(found[1])


if __name__ == "__main__":
    main()
