"""Resident memory of one node against its `--memory`, and how long it takes to be ready again.

    python bench/memory.py DIRECTORY [--memory 256MB] [--entries 1000000]

One node is filled with entries of 200 bytes, asked for a good part of them in random order,
stopped, and started again. Its resident memory is read from /proc at each step; the highest
counts (VmHWM), not the last.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

import kvorum
from kvorum.devcluster.ports import free_port
from kvorum.model.sizes import parse_size

VALUE_BYTES = 200
BATCH = 500
ALLOWED_OVER = 150_000_000


class Node:
    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self._status = Path(f"/proc/{process.pid}/status")
        self.address = address

    def memory(self, field: str) -> int:
        """Bytes; `field` is VmRSS for now, VmHWM for the most there ever was."""
        for line in self._status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
        raise RuntimeError(f"no {field} in {self._status}")


@contextmanager
def serving(directory: Path, memory: str) -> Iterator[tuple[Node, float]]:
    """A node, and how many seconds it took to be ready."""
    port = free_port(1)
    command = [sys.executable, "-m", "kvorum", "serve", "--data-dir", str(directory)]
    began = time.monotonic()
    with subprocess.Popen(
        [*command, "--port", str(port), "--memory", memory], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError("the node did not start")
            yield Node(process, f"kvorum://127.0.0.1:{port}"), time.monotonic() - began
        finally:
            process.terminate()
            process.wait(60)


def key_of(number: int) -> str:
    return f"user:{number:09}"


def fill(node: Node, entries: int) -> None:
    rng = random.Random(1)
    with kvorum.connect(node.address) as client:
        for first in range(0, entries, BATCH):
            numbers = range(first, min(first + BATCH, entries))
            client.set_many([(key_of(n), rng.randbytes(VALUE_BYTES // 2).hex()) for n in numbers])


def read(node: Node, entries: int) -> None:
    rng = random.Random(2)
    with kvorum.connect(node.address) as client:
        for _ in range(entries // 4 // BATCH):
            found = client.get_many([key_of(rng.randrange(entries)) for _ in range(BATCH)])
            assert found


def report(what: str, node: Node, memory: str) -> None:
    over = node.memory("VmHWM") - parse_size(memory)
    click.echo(
        f"{what:24}{node.memory('VmRSS') / 1e6:8.0f} MB now"
        f"{node.memory('VmHWM') / 1e6:8.0f} MB at most{over / 1e6:+8.0f} MB beside {memory}"
        f"{'' if over <= ALLOWED_OVER else '   TOO MUCH'}"
    )


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--memory", default="256MB", show_default=True)
@click.option("--entries", default=1_000_000, show_default=True)
def main(directory: Path, memory: str, entries: int) -> None:
    with serving(directory, memory) as (node, _):
        report("started empty", node, memory)
        fill(node, entries)
        report("filled", node, memory)
        read(node, entries)
        report("read", node, memory)
    with serving(directory, memory) as (node, ready_s):
        click.echo(f"{'ready again after':24}{ready_s:8.2f} s")
        read(node, entries)
        report("read", node, memory)


if __name__ == "__main__":
    main()
