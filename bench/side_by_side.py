"""Several clusters at once, each under load for a few seconds in turn.

    start all, with empty data directories
    for each: store all keys, read them back and compare
    for each operation (puts, then gets):
        for each cluster and each way to spread connections: warm up
        for each round:
            for each of them, in another order each time: measure

A machine whose speed changes from one minute to the next changes it for all of them, where
measuring one cluster after the other would credit the change to one. Clusters that are not under
load cost next to nothing: heartbeats.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import click
import disk
import wrk
from comparison import GET, OPERATIONS, PUT, Comparison
from preload import preload
from system import NODES, Cluster, System

from kvorum.devcluster.ports import free_port


class Plan(NamedTuple):
    """`duration` and `warm_up` in seconds."""

    rounds: int
    duration: int
    warm_up: int
    connections: int
    keys: int


class Candidate(NamedTuple):
    """A running cluster, and one way to spread connections over it."""

    system: System
    cluster: Cluster
    targets: str

    def load(self, operation: str, plan: Plan, duration_s: int) -> wrk.Load:
        script = _SCRIPTS[operation](self.system)
        targets = self.cluster.targets[self.targets]
        return wrk.run(script, targets, plan.connections, plan.keys, duration_s)


_SCRIPTS: Final = {PUT: lambda s: s.put_script, GET: lambda s: s.get_script}


def measure(systems: Sequence[System], work_dir: Path, plan: Plan, comparison: Comparison) -> None:
    """Add to `comparison` what each of `systems` does under the load of `plan`."""
    disk.check(work_dir)
    order = random.Random(1)
    with _running(systems, work_dir, plan) as candidates:
        for operation in OPERATIONS:
            for candidate in candidates:
                candidate.load(operation, plan, plan.warm_up)
            for number in range(1, plan.rounds + 1):
                click.echo(f"{operation}: round {number} of {plan.rounds}", err=True)
                for candidate in order.sample(candidates, len(candidates)):
                    found = candidate.load(operation, plan, plan.duration)
                    comparison.add(candidate.system.name, candidate.targets, operation, found)


@contextmanager
def _running(systems: Sequence[System], work_dir: Path, plan: Plan) -> Iterator[list[Candidate]]:
    with ExitStack() as stack:
        candidates = []
        for system in systems:
            click.echo(f"starting {system.name}", err=True)
            directory = stack.enter_context(
                tempfile.TemporaryDirectory(prefix=f"{system.name}-", dir=work_dir)
            )
            cluster = stack.enter_context(system.start(Path(directory), free_port(NODES)))
            preload(system, cluster, plan.keys, plan.connections)
            candidates += [Candidate(system, cluster, targets) for targets in cluster.targets]
        yield candidates
