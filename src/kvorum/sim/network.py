"""The simulated network: what happens to bytes on their way from one node to another.

A path is one direction between two nodes. Each batch is delayed by a minimum plus an
exponential part, and arrives after the one sent before it, as on a TCP connection. Faults
are knobs of `Conditions`, each independent of the others:

    loss        a batch vanishes without a word
    delay       a batch takes twenty times as long, and the ones behind it wait
    reorder     a batch may overtake those sent before it
    duplicate   a batch arrives a second time, later

A message that is too long for a frame takes as long as its bytes do, and others of its kind wait
behind it. Batches do not: on a real link they pass between its pieces.

Loss without a break, reordering and duplication are more than the Transport port admits;
the protocol has to survive them all the same. (`wires.py` says what is not duplicated.) A
path can also be blocked (a partition, one way or both) or stalled for a while.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from kvorum.sim.scheduler import NodeRuntime, Scheduler

_DELAY_FACTOR = 20
_BYTES_PER_S = 16 << 20


@dataclass(frozen=True, slots=True)
class Conditions:
    """Probabilities are per batch."""

    latency_s_min: float = 0.000_1
    latency_s_mean: float = 0.001
    loss: float = 0.0
    delay: float = 0.0
    reorder: float = 0.0
    duplicate: float = 0.0
    echo: int = 20
    """How many times as long as a batch its duplicate takes."""

    def calm(self) -> Conditions:
        """The same wires without these faults."""
        return Conditions(self.latency_s_min, self.latency_s_mean)


@dataclass(eq=False)
class _Path:
    blocks: int = 0
    free_at: float = 0.0
    long_free_at: float = 0.0


class Network:
    """The network between the simulated nodes."""

    def __init__(
        self, scheduler: Scheduler, rng: random.Random, conditions: Conditions, nodes: int
    ) -> None:
        self.conditions = conditions
        self.counts = {"loss": 0, "delay": 0, "reorder": 0, "duplicate": 0}
        self._scheduler = scheduler
        self._rng = rng
        self._paths = [[_Path() for _ in range(nodes)] for _ in range(nodes)]

    def carry(
        self,
        source: int,
        target: int,
        receiver: NodeRuntime,
        deliver: Callable[[bytes], object],
        data: bytes,
    ) -> None:
        """Have `deliver(data)` called at `receiver`, or not."""
        conditions, rng, path = self.conditions, self._rng, self._paths[source][target]
        if path.blocks or (conditions.loss and self.loses()):
            return
        delay_s = self.latency_s()
        if conditions.delay and rng.random() < conditions.delay:
            self.counts["delay"] += 1
            delay_s *= _DELAY_FACTOR
        arrival = self._scheduler.now + delay_s
        if conditions.reorder and rng.random() < conditions.reorder:
            self.counts["reorder"] += 1
        else:
            arrival = path.free_at = max(arrival, path.free_at)
        self._scheduler.at(arrival, receiver, deliver, data)

    def carry_in_order(
        self,
        source: int,
        target: int,
        receiver: NodeRuntime,
        deliver: Callable[[bytes], object],
        data: bytes,
    ) -> None:
        """As `carry`, for what nothing befalls but that the path may be blocked, or slow."""
        path = self._paths[source][target]
        if not path.blocks:
            arrival = path.free_at = max(self._scheduler.now + self.latency_s(), path.free_at)
            self._scheduler.at(arrival, receiver, deliver, data)

    def carry_piece(
        self,
        source: int,
        target: int,
        receiver: NodeRuntime,
        deliver: Callable[[bytes], object] | None,
        data: bytes,
    ) -> float:
        """As `carry`, for a piece (no `deliver`: lost); the seconds until it arrives, or would."""
        path, now = self._paths[source][target], self._scheduler.now
        begins = max(now + self.latency_s(), path.long_free_at)
        arrival = path.long_free_at = begins + len(data) / _BYTES_PER_S
        if deliver is not None and not path.blocks:
            self._scheduler.at(arrival, receiver, deliver, data)
        return arrival - now

    def carry_again(
        self, receiver: NodeRuntime, deliver: Callable[[bytes], object], data: bytes
    ) -> None:
        """A duplicate of what has been carried: late, and out of order."""
        self.counts["duplicate"] += 1
        self._scheduler.after(self.conditions.echo * self.latency_s(), receiver, deliver, data)

    def loses(self) -> bool:
        """Whether the next batch is one that is lost; so is the next long message."""
        chance = self.conditions.loss
        lost = chance > 0 and self._rng.random() < chance
        if lost:
            self.counts["loss"] += 1
        return lost

    def duplicates(self) -> bool:
        """Whether the next batch is one that arrives twice."""
        chance = self.conditions.duplicate
        return chance > 0 and self._rng.random() < chance

    def latency_s(self) -> float:
        conditions = self.conditions
        beyond_min_s = conditions.latency_s_mean - conditions.latency_s_min
        return conditions.latency_s_min + self._rng.expovariate(1 / beyond_min_s)

    # Paths as a fault

    def connects(self, a: int, b: int) -> bool:
        """True if bytes can pass both ways between `a` and `b`."""
        return not (self._paths[a][b].blocks or self._paths[b][a].blocks)

    def is_blocked(self, source: int, target: int) -> bool:
        return self._paths[source][target].blocks > 0

    def block(self, source: int, target: int) -> None:
        self._paths[source][target].blocks += 1

    def unblock(self, source: int, target: int) -> None:
        self._paths[source][target].blocks -= 1

    def heal(self) -> None:
        """End all faults, those of paths and those of batches."""
        self.conditions = self.conditions.calm()
        for path in chain.from_iterable(self._paths):
            path.blocks = 0
            path.free_at = min(path.free_at, self._scheduler.now)
            path.long_free_at = min(path.long_free_at, self._scheduler.now)

    def stall(self, source: int, target: int, duration_s: float) -> None:
        """Hold back all that is sent from `source` to `target` for a while."""
        path = self._paths[source][target]
        until = self._scheduler.now + duration_s
        path.free_at = max(path.free_at, until)
        path.long_free_at = max(path.long_free_at, until)
