"""A run's load from several processes at once, where one core of load is not enough.

    parent                          child i of n
    start  -------- plan -------->  import
           <------- None ---------  ready
    go     -------- None -------->  run share i
           <------- int ----------  so many operations have ended
           <------- Measurement --  done; or the KvorumError that stopped it

All children begin together, so their rates add up.
"""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess

from kvorum.bench import phases
from kvorum.bench.driver import Progress
from kvorum.bench.measurement import Measurement
from kvorum.bench.plan import Plan
from kvorum.model.errors import KvorumError
from kvorum.runtime import loop


def run(plan: Plan, progress: Progress) -> Measurement:
    """What all processes of `plan` measured. Raises KvorumError if one could not do its share."""
    if plan.processes == 1:
        return loop.run(phases.run(plan, plan.share(0), progress))
    with ExitStack() as stack:
        children = [stack.enter_context(_Child(plan, i)) for i in range(plan.processes)]
        return _gather([child.pipe for child in children], progress)


class _Child:
    """A process that ends, one way or the other, with the `with` block."""

    def __init__(self, plan: Plan, index: int) -> None:
        context: SpawnContext = multiprocessing.get_context("spawn")
        self.pipe, self._theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_work, args=(self._theirs, plan, index), daemon=True
        )

    def __enter__(self) -> _Child:
        self._process.start()
        self._theirs.close()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.pipe.close()
        self._process.terminate()
        self._process.join()


def _work(pipe: Connection, plan: Plan, index: int) -> None:
    # Ctrl-C reaches every process of the terminal; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pipe.send(None)
    pipe.recv()
    try:
        pipe.send(loop.run(phases.run(plan, plan.share(index), pipe.send)))
    except KvorumError as error:
        pipe.send(error)


def _gather(pipes: list[Connection], progress: Progress) -> Measurement:
    for pipe in pipes:
        _receive(pipe)
    for pipe in pipes:
        pipe.send(None)
    whole = Measurement()
    done = dict.fromkeys(pipes, 0)
    running = set(pipes)
    while running:
        ready = wait(running)
        for pipe in [pipe for pipe in pipes if pipe in ready]:
            got = _receive(pipe)
            if isinstance(got, Measurement):
                whole.merge(got)
                running.discard(pipe)
            elif got is not None:
                done[pipe] = got
        progress(sum(done.values()))
    return whole


def _receive(pipe: Connection) -> int | Measurement | None:
    """What a child says next. Raises the KvorumError that stopped it."""
    try:
        got: int | Measurement | KvorumError | None = pipe.recv()
    except EOFError as error:
        raise KvorumError("A process of the load generator ended before it was done.") from error
    if isinstance(got, KvorumError):
        raise got
    return got
