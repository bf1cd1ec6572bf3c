"""One node as `kvorum serve` starts it, on data that outlives it, and the load put on it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from server import Server, answers

from kvorum.bench import phases
from kvorum.bench.measurement import Measurement
from kvorum.bench.plan import Plan
from kvorum.client.url import host_port
from kvorum.devcluster.ports import free_port
from kvorum.model.address import Address
from kvorum.model.errors import KvorumError
from kvorum.runtime.loop import run

KVORUM: Final = ("-m", "kvorum")


class OneNode(NamedTuple):
    """A running node, and how many seconds it took to be ready."""

    address: Address
    pid: int
    ready_s: float

    @property
    def url(self) -> str:
        return f"kvorum://{host_port(self.address)}"


@contextmanager
def serving(directory: Path, memory: str, program: Sequence[str] = KVORUM) -> Iterator[OneNode]:
    """The node of `directory`; `program` is what Python runs."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port(1)
    words = ["serve", "--data-dir", str(directory), "--port", str(port), "--memory", memory]
    began = time.monotonic()
    log = directory.with_name(f"{directory.name}.log")
    with Server([sys.executable, *program, *words], log) as server:
        address = Address("127.0.0.1", port)
        server.wait_until(lambda: answers(address, "/status"))
        yield OneNode(address, server.pid, time.monotonic() - began)


def gets(node: OneNode, entries: int, value_bytes: int, connections: int = 64) -> Plan:
    """Gets of `entries`, drawn uniformly; the same plan stores them."""
    return Plan(
        servers=(node.address,),
        workload="get",
        distribution="uniform",
        keys=entries,
        value_size=value_bytes,
        connections=connections,
        duration_s=3600.0,
        operations=None,
        processes=1,
        timeout_s=30.0,
        seed=1,
    )


def fill(plan: Plan) -> Measurement:
    """Store all entries of `plan`. Raises KvorumError if one is not stored."""
    stored = run(phases.load(plan, lambda _: None))
    if stored.errors:
        raise KvorumError(f"An entry was not stored: {dict(stored.errors)}.")
    return stored
