"""A crash at every log sync of a workload, on the simulated disk: before the sync and after it.

What was acknowledged is there in the next life, what was never written is not, and no dot is
given twice.
"""

from __future__ import annotations

import random
from functools import partial

import pytest

from kvorum.cluster.view import ClusterView
from kvorum.journal.entries import OpenEntries
from kvorum.journal.journaled_store import JournaledStore
from kvorum.journal.segment import SegmentLimits
from kvorum.model.errors import StorageError
from kvorum.model.record import JSON
from kvorum.model.request import Answer, Delete, Get, Put, Result
from kvorum.model.topology import Topology
from kvorum.replication.replicator import Incarnation, Replicator
from kvorum.sim.disk import Disk, DiskStore
from kvorum.sim.disk_log import DiskLog
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.storage.identity import Facts, Identity
from kvorum.wire.messages import Message

IDENTITY = Identity(Facts("c", "n1", 16, "murmur3", 0), "7" * 32, 1, 0, False, {})
KEYS = [f"key-{number}" for number in range(10)]
STEPS = 120


class Crashed(Exception):
    """The node is no more."""


class Fate:
    """The node crashes at the sync with the number `deadly`: before it, or when it has ended."""

    def __init__(self, deadly: int, *, late: bool) -> None:
        self.deadly = deadly
        self.late = late
        self.syncs = 0

    def strikes(self) -> bool:
        """At this sync."""
        self.syncs += 1
        return self.syncs == self.deadly


NEVER = Fate(0, late=False)


class DeadlyStore(DiskStore):
    __slots__ = ("fate",)

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random, fate: Fate) -> None:
        super().__init__(disk, runtime, rng)
        self.fate = fate

    def _synced(self, count: int) -> None:
        if self.fate.strikes():
            if self.fate.late:
                self._settle(count)
            raise Crashed
        super()._synced(count)


class DeadlyLog(DiskLog):
    __slots__ = ("fate",)

    def __init__(self, disk: Disk, runtime: NodeRuntime, rng: random.Random, fate: Fate) -> None:
        super().__init__(disk, runtime, rng)
        self.fate = fate

    def _synced(self) -> None:
        if self.fate.strikes():
            if self.fate.late:
                self._settle()
            raise Crashed
        super()._synced()


class NoPeers:
    def send(self, node: int, message: Message) -> None:
        raise AssertionError(f"no node {node} to send {message!r} to")

    def is_up(self, node: int) -> bool:
        return False


def journaled(disk: DiskStore, log: DiskLog, runtime: NodeRuntime) -> JournaledStore:
    """So small segments that at each sync something else is going on in them."""
    limits = SegmentLimits(2000, 2000, 0.1)
    store = JournaledStore(disk, log, OpenEntries(), runtime, limits, must_not_fail)
    assert store.replay() is None
    return store


def must_not_fail(error: StorageError) -> None:
    raise error


class Life:
    """One life of a node that is alone, and what its clients know."""

    def __init__(self, disk: Disk, seed: int, fate: Fate) -> None:
        self.rng = random.Random(seed)
        self.scheduler = Scheduler(1_000_000)
        runtime = NodeRuntime(self.scheduler, random.Random(seed), 0)
        identity = disk.begin_life()
        self.actor = identity.actor
        self.store = DeadlyStore(disk, runtime, self.rng, fate)
        self.log = DeadlyLog(disk, runtime, self.rng, fate)
        topology = Topology.single()
        self.replicator = Replicator(
            ClusterView(topology, 0),
            runtime,
            NoPeers(),
            journaled(self.store, self.log, runtime),
            Incarnation(identity.actor, identity.counter, identity.crashed),
        )
        self.written: dict[str, list[bytes | None]] = {key: [None] for key in KEYS}
        self.acknowledged = dict.fromkeys(KEYS, 0)
        """How much of what was written to a key is sure to be there, or followed."""
        self.dots: set[tuple[int, int]] = set()

    def work(self) -> None:
        """Ends with Crashed if the store's deadly sync is reached."""
        for step in range(STEPS):
            for key in self.rng.sample(KEYS, self.rng.choice((1, 1, 3))):
                value = None if step % 6 == 5 else b'"%d"' % step
                self.written[key].append(value)
                place = len(self.written[key]) - 1
                request = (
                    Delete("default", key) if value is None else Put("default", key, JSON, value)
                )
                self.replicator.submit(request, partial(self._done, key, place))
            self.scheduler.run_for(self.rng.choice((0.001, 0.02)))
        self.scheduler.run_for(1.0)

    def _done(self, key: str, place: int, result: Result) -> None:
        if isinstance(result, Answer):
            self.acknowledged[key] = place
            self.dots.update(dots_of(result))

    def _ask(self, request: Get | Put) -> Answer:
        answers: list[Result] = []
        self.replicator.submit(request, answers.append)
        self.scheduler.run_for(1.0)
        (answer,) = answers
        assert isinstance(answer, Answer), answer
        return answer

    def check(self, before: Life) -> None:
        """This life comes after `before`, which crashed."""
        for key in KEYS:
            answer = self._ask(Get("default", key))
            before.dots |= dots_of(answer)
            versions = answer.record.versions
            value = versions[0].value if versions else None
            assert len(versions) <= 1
            assert value in before.written[key][before.acknowledged[key] :], key
        for key in KEYS:
            written = dots_of(self._ask(Put("default", key, JSON, b'"after"')))
            new = {dot for dot in written if dot[0] == self.actor}
            assert len(new) == 1
            assert not new & before.dots
            before.dots |= new


def dots_of(answer: Answer) -> set[tuple[int, int]]:
    return {(event.actor, event.counter) for event in answer.record.context}


def crash_at(sync: int, *, late: bool) -> bool:
    """False if the workload has fewer syncs."""
    disk = Disk(IDENTITY, 0.005, {})
    life = Life(disk, 1, Fate(sync, late=late))
    try:
        life.work()
    except Crashed:
        life.log.crash()
        life.store.crash()
        Life(disk, 2, NEVER).check(life)
        return True
    return False


@pytest.mark.parametrize("late", [False, True])
def test_a_crash_at_every_sync(late: bool) -> None:
    points = 0
    while crash_at(points + 1, late=late):
        points += 1
    assert points >= STEPS / 2
