"""One run: a seed in, a report out.

1. clients work while faults strike
2. the faults stop, everybody is restarted, the network heals
3. the audit reads and compares
4. the checkers judge the whole history
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from kvorum.sim import checkers
from kvorum.sim.administrators import Administrators
from kvorum.sim.audit import Audit
from kvorum.sim.checkers import Violation
from kvorum.sim.expectations import nothing_unexpected
from kvorum.sim.faults import Faults
from kvorum.sim.history import History, Operation
from kvorum.sim.lister import Lister
from kvorum.sim.parameters import Parameters
from kvorum.sim.workload import Workload
from kvorum.sim.world import World

_SLACK_S: Final = 0.001
_GREETED_S: Final = 0.1
"""Before they have heard of another's clock nodes give no lifetimes."""
_ARRIVED_AFTER: Final = 20
"""Mean latencies after which whatever was sent has arrived, if nothing holds it up."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did, and which checks failed."""

    seed: int
    operations: int
    acked: int
    refused: int
    unknown: int
    faults: dict[str, int]
    writes_forgotten: int
    """Writes that were not yet synced when their node crashed."""
    simulated_s: float
    events: int
    trace: str
    """The hash of everything that happened."""
    violations: list[str]


def simulate(parameters: Parameters, sink: Callable[[str], object] | None = None) -> Report:
    """Run `parameters`; `sink` gets every line of the trace."""
    world = World(parameters, sink)
    workload = Workload(world, parameters)
    lister = Lister(world, workload.history, workload.keys, parameters)
    administrators = Administrators(world, parameters)
    faults = Faults(world, parameters)
    audit = Audit(world, workload.history, workload.keys, parameters)
    violations: list[Violation] = []
    try:
        _live(world, workload, (lister, administrators), faults, audit)
    except Exception as error:  # noqa: BLE001 - whatever a node raises is this seed's result
        violations.append(Violation("no_exception", _where(error)))
    else:
        violations += lister.violations + administrators.violations + audit.violations
        violations += _judge(workload.history, parameters, audit.final, world)
    world.close()
    for violation in violations:
        world.trace.note(str(violation))
    history = workload.history
    return Report(
        seed=parameters.seed,
        operations=len(history.requests),
        acked=history.count("acked"),
        refused=history.count("failed"),
        unknown=history.count("unknown"),
        faults=faults.counts | world.network.counts,
        writes_forgotten=world.writes_forgotten,
        simulated_s=world.scheduler.now,
        events=world.scheduler.events,
        trace=world.trace.digest(),
        violations=[str(violation) for violation in violations],
    )


def _live(
    world: World,
    workload: Workload,
    others: Sequence[Lister | Administrators],
    faults: Faults,
    audit: Audit,
) -> None:
    for node in range(len(world.lives)):
        world.start(node)
    world.scheduler.run_for(_GREETED_S)
    workload.start()
    for other in others:
        other.start()
    faults.start()
    world.scheduler.run_while(lambda: workload.busy)
    world.trace.note("the faults stop")
    faults.stop()
    for other in others:
        other.stop()
    audit.run()


def _judge(
    history: History,
    parameters: Parameters,
    final: Mapping[tuple[str, str], Operation],
    world: World,
) -> list[Violation]:
    found = checkers.ended_once(history, _SLACK_S)
    for namespace in parameters.namespaces:
        found += _judge_one(history.of(namespace), namespace, parameters, final, world)
    return found


def _judge_one(
    history: History,
    namespace: str,
    parameters: Parameters,
    final: Mapping[tuple[str, str], Operation],
    world: World,
) -> list[Violation]:
    """`history`: of this namespace."""
    clocks, settings = world.clocks, world.settings(namespace)
    skew_s = clocks.skew_s
    replicas = settings.replicas
    left = {key: read for (name, key), read in final.items() if name == namespace}
    found = checkers.nothing_invented(history)
    found += checkers.nothing_outlived(history, clocks.slowest_ms)
    if not world.keeps(namespace):
        return found
    found += checkers.nothing_stale(history, replicas, skew_s)
    found += checkers.nothing_lost(history, left, replicas, skew_s)
    found += checkers.nothing_revived(history, replicas, skew_s)
    found += checkers.nothing_forgotten(history)
    found += checkers.nothing_mistimed(history, replicas, clocks.slowest_ms, clocks.fastest_ms)
    found += nothing_unexpected(history, replicas, skew_s)
    if parameters.prompt and settings.durability != "none":
        quiet_s = _ARRIVED_AFTER * parameters.conditions.latency_s_mean
        found += checkers.none_needless(history, replicas, quiet_s)
    if parameters.only_full and not parameters.crowded:
        found += checkers.unhindered(history)
    if parameters.faultless and not parameters.crowded:
        found += checkers.undisturbed(history)
    return found


def _where(error: Exception) -> str:
    """What was raised and the innermost lines it came from."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    path = " < ".join(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in reversed(frames))
    return f"{type(error).__name__}: {error} ({path})"
