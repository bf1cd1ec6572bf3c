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
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
from comparison import OPERATIONS, Comparison, Turn
from preload import preload
from report import COUNT
from system import NODES, Cluster, System, Target

from kvorum.devcluster.ports import free_port

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Plan(NamedTuple):
    """What `options` give; `duration` and `warm_up` in seconds."""

    rounds: int
    duration: int
    warm_up: int
    connections: int
    keys: int


_OPTIONS = (
    click.option("--rounds", type=COUNT, default=10, show_default=True),
    click.option(
        "--duration", type=COUNT, default=3, show_default=True, help="Seconds of each turn."
    ),
    click.option(
        "--warm-up", type=COUNT, default=5, show_default=True, help="Seconds before that."
    ),
    click.option("--connections", type=click.IntRange(min=NODES), default=64, show_default=True),
    click.option("--keys", type=COUNT, default=10_000, show_default=True),
)


def options(command: _Command) -> _Command:
    """The options that make a Plan."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Candidate(NamedTuple):
    """A running cluster, and one way to spread connections over it."""

    system: System
    cluster: Cluster
    targets: str

    @property
    def servers(self) -> Sequence[Target]:
        return self.cluster.targets[self.targets]


Loader = Callable[[Candidate, str, Plan, int], Turn]
"""Puts an operation on a cluster for so many seconds. Raises KvorumError if it cannot."""


def measure(
    systems: Sequence[System], work_dir: Path, plan: Plan, load: Loader, comparison: Comparison
) -> None:
    """Add to `comparison` what each of `systems` does under the load of `plan`."""
    # So that a terminated comparison, too, stops its servers and removes their data.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    order = random.Random(1)
    with _running(systems, work_dir, plan) as candidates:
        for operation in OPERATIONS:
            for candidate in candidates:
                load(candidate, operation, plan, plan.warm_up)
            for number in range(1, plan.rounds + 1):
                click.echo(f"{operation}: round {number} of {plan.rounds}", err=True)
                for candidate in order.sample(candidates, len(candidates)):
                    found = load(candidate, operation, plan, plan.duration)
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
