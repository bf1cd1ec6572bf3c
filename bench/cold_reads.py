"""What reads from the disk cost those who ask for something else.

    python bench/cold_reads.py DIRECTORY [--entries 300000]

A node whose data is several times its memory, and none of it in the page cache, is asked for
random entries over several connections, while a probe asks for one and the same entry, which
is in memory. The probe's latency is what the loop has left over for everybody else. Twice:
with cold reads in a thread, as the node does, and with all of them on the loop.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from one_node import KVORUM, fill, gets, serving

import kvorum
from kvorum.bench import processes

VALUE_BYTES: Final = 1000
MEMORY: Final = "64MB"
READERS: Final = 8
SECONDS: Final = 8.0

_ON_THE_LOOP: Final = """
from kvorum.storage.rocks import RocksStore
RocksStore.read_in_thread = lambda *_: None
from kvorum.cli import main
main()
"""


def drop_page_cache(directory: Path) -> None:
    os.sync()
    for path in directory.rglob("*.sst"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def probe(url: str, until: float) -> list[float]:
    """Latencies in ms, ascending."""
    taken = []
    with kvorum.connect(url) as client:
        while time.monotonic() < until:
            began = time.perf_counter()
            client.get("probe")
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(0.001)
    return sorted(taken)


def measure(directory: Path, entries: int, *, in_thread: bool) -> None:
    program = KVORUM if in_thread else ("-c", _ON_THE_LOOP)
    with serving(directory, MEMORY, program) as node, ThreadPoolExecutor(1) as thread:
        with kvorum.connect(node.url) as client:
            client.set("probe", 1)
            while not client.status()["anti_entropy"]["trees_built"]:
                time.sleep(0.1)  # the walk at start reads everything once
        drop_page_cache(directory)
        # In processes of their own, so that the probe does not wait for them.
        plan = replace(gets(node, entries, VALUE_BYTES, READERS), duration_s=SECONDS, processes=2)
        reading = thread.submit(processes.run, plan, lambda _: None)
        taken = probe(node.url, time.monotonic() + SECONDS)
        measured = reading.result()
    last = len(taken) - 1
    where = "in a thread" if in_thread else "on the loop"
    click.echo(
        f"{where:14}{measured.per_second:8.0f} cold gets/s"
        f"   probe: median {taken[last // 2]:6.2f} ms, p99 {taken[last * 99 // 100]:6.2f} ms,"
        f" longest {taken[last]:7.1f} ms"
    )


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--entries", default=300_000, show_default=True)
def main(directory: Path, entries: int) -> None:
    with serving(directory, MEMORY) as node:
        fill(gets(node, entries, VALUE_BYTES))
    for _ in range(2):
        measure(directory, entries, in_thread=False)
        measure(directory, entries, in_thread=True)


if __name__ == "__main__":
    main()
