"""What reads from the disk cost those who ask for something else.

    python bench/cold_reads.py DIRECTORY [--entries 300000]

A node whose data is several times its memory, and none of it in the page cache, is asked for
random entries over several connections, while a probe asks for one and the same entry, which
is in memory. The probe's latency is what the loop has left over for everybody else. Twice:
with cold reads in a thread, as the node does, and with all of them on the loop.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Process, Queue
from pathlib import Path

import click

import kvorum
import kvorum.aio
from kvorum.devcluster.ports import free_port

VALUE_BYTES = 1000
MEMORY = "64MB"
READERS = 8
SECONDS = 8.0
BATCH = 500

_ON_THE_LOOP = """
from kvorum.storage.rocks import RocksStore
RocksStore.read_in_thread = lambda *_: None
from kvorum.cli import main
main()
"""


@contextmanager
def serving(directory: Path, *, in_thread: bool) -> Iterator[str]:
    port = free_port(1)
    program = ["-m", "kvorum"] if in_thread else ["-c", _ON_THE_LOOP]
    words = ["serve", "--data-dir", str(directory), "--port", str(port), "--memory", MEMORY]
    with subprocess.Popen(
        [sys.executable, *program, *words], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError("the node did not start")
            yield f"kvorum://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(60)


def drop_page_cache(directory: Path) -> None:
    os.sync()
    for path in directory.rglob("*.sst"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def fill(address: str, entries: int) -> None:
    rng = random.Random(1)
    with kvorum.connect(address) as client:
        for first in range(0, entries, BATCH):
            numbers = range(first, min(first + BATCH, entries))
            client.set_many([(str(number), rng.randbytes(VALUE_BYTES)) for number in numbers])


def read(address: str, entries: int, seconds: float, counts: Queue[int]) -> None:
    """In a process of its own, so that the probe does not wait for it."""
    counts.put(asyncio.run(_read(address, entries, time.monotonic() + seconds)))


async def _read(address: str, entries: int, until: float) -> int:
    rng = random.Random(3)
    done = 0
    async with kvorum.aio.connect(address) as client:

        async def ask() -> None:
            nonlocal done
            while time.monotonic() < until:
                await client.get(str(rng.randrange(entries)))
                done += 1

        await asyncio.gather(*(ask() for _ in range(READERS)))
    return done


def probe(address: str, until: float) -> list[float]:
    """Latencies in ms, ascending."""
    taken = []
    with kvorum.connect(address) as client:
        while time.monotonic() < until:
            began = time.perf_counter()
            client.get("probe")
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(0.001)
    return sorted(taken)


def measure(directory: Path, entries: int, *, in_thread: bool) -> None:
    with serving(directory, in_thread=in_thread) as address:
        with kvorum.connect(address) as client:
            client.set("probe", 1)
            while not client.status()["anti_entropy"]["trees_built"]:
                time.sleep(0.1)  # the walk at start reads everything once
        drop_page_cache(directory)
        counts: Queue[int] = Queue()
        reader = Process(target=read, args=(address, entries, SECONDS, counts))
        reader.start()
        taken = probe(address, time.monotonic() + SECONDS)
        count = counts.get()
        reader.join()
    last = len(taken) - 1
    where = "in a thread" if in_thread else "on the loop"
    click.echo(
        f"{where:14}{count / SECONDS:8.0f} cold gets/s"
        f"   probe: median {taken[last // 2]:6.2f} ms, p99 {taken[last * 99 // 100]:6.2f} ms,"
        f" longest {taken[last]:7.1f} ms"
    )


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--entries", default=300_000, show_default=True)
def main(directory: Path, entries: int) -> None:
    with serving(directory, in_thread=True) as address:
        fill(address, entries)
    for _ in range(2):
        measure(directory, entries, in_thread=False)
        measure(directory, entries, in_thread=True)


if __name__ == "__main__":
    main()
