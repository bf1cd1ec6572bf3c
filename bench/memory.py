"""Resident memory of one node against its `--memory`, and how long it takes to be ready again.

    python bench/memory.py DIRECTORY [--memory 256MB] [--entries 1000000]

One node is filled with entries of 200 bytes, asked for a good part of them in random order,
stopped, and started again. Its resident memory is read from /proc at each step; the highest
counts (VmHWM), not the last.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from one_node import OneNode, fill, gets, serving

from kvorum.bench import processes
from kvorum.model.sizes import parse_size

VALUE_BYTES: Final = 200
ALLOWED_OVER: Final = 150_000_000


def resident_bytes(node: OneNode, field: str) -> int:
    """`field` is VmRSS for now, VmHWM for the most there ever was."""
    path = Path(f"/proc/{node.pid}/status")
    for line in path.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"There is no {field} in {path}.")


def report(what: str, node: OneNode, memory: str) -> None:
    now, most = (resident_bytes(node, field) for field in ("VmRSS", "VmHWM"))
    over = most - parse_size(memory)
    click.echo(
        f"{what:24}{now / 1e6:8.0f} MB now{most / 1e6:8.0f} MB at most"
        f"{over / 1e6:+8.0f} MB beside {memory}{'' if over <= ALLOWED_OVER else '   TOO MUCH'}"
    )


def read(node: OneNode, entries: int) -> None:
    plan = replace(gets(node, entries, VALUE_BYTES), operations=entries // 4)
    assert not processes.run(plan, lambda _: None).errors


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--memory", default="256MB", show_default=True)
@click.option("--entries", default=1_000_000, show_default=True)
def main(directory: Path, memory: str, entries: int) -> None:
    with serving(directory, memory) as node:
        report("started empty", node, memory)
        fill(gets(node, entries, VALUE_BYTES))
        report("filled", node, memory)
        read(node, entries)
        report("read", node, memory)
    with serving(directory, memory) as node:
        click.echo(f"{'ready again after':24}{node.ready_s:8.2f} s")
        read(node, entries)
        report("read", node, memory)


if __name__ == "__main__":
    main()
