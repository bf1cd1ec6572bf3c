"""Many `Membership` objects on simulated time and a simulated network, and nothing else.

A message takes `delay_s` and up to `jitter_s` more, so messages overtake each other, and is
lost with the chance `loss`. One seed decides everything.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from kvorum.cluster.membership import DEFAULTS, Membership, MemberView
from kvorum.cluster.settings import MembershipSettings
from kvorum.sim.scheduler import NodeRuntime, Scheduler
from kvorum.wire.messages import Message

_EVENTS_MAX: Final = 50_000_000
_STEP_S: Final = 0.05


class World:
    def __init__(
        self,
        nodes: int,
        seed: int = 0,
        *,
        loss: float = 0.0,
        delay_s: float = 0.001,
        jitter_s: float = 0.0,
        settings: MembershipSettings = DEFAULTS,
    ) -> None:
        self.nodes = nodes
        self.loss = loss
        self.delay_s = delay_s
        self.jitter_s = jitter_s
        self.settings = settings
        self.scheduler = Scheduler(_EVENTS_MAX)
        self.rng = random.Random(seed)
        self.cut: set[tuple[int, int]] = set()
        """(sender, receiver) whose messages are lost."""
        self.drops: Callable[[int, int, Message], bool] = lambda *_: False
        """Whether this message of that sender to that receiver is lost."""
        self.lives: dict[int, Life] = {}
        self.changes: list[tuple[float, int, int, bool]] = []
        """(time, observer, member, whether it is available from now on)."""
        self.sent: Counter[type] = Counter()

    @property
    def now(self) -> float:
        return self.scheduler.now

    def start(self, node: int, clock_offset_ms: int = 0) -> Membership:
        runtime = NodeRuntime(self.scheduler, random.Random(self.rng.random()), clock_offset_ms)
        self.lives[node] = life = Life(self, node, runtime)
        life.membership.start()
        return life.membership

    def start_all(self) -> None:
        for node in range(self.nodes):
            self.start(node)

    def kill(self, node: int) -> None:
        self.lives.pop(node).runtime.stopped = True

    def pause(self, node: int, duration_s: float) -> None:
        self.lives[node].runtime.pause(duration_s)

    def partition(self, *groups: set[int]) -> None:
        """Only nodes of one group hear each other."""
        self.cut = {
            (a, b)
            for a in range(self.nodes)
            for b in range(self.nodes)
            if not any({a, b} <= group for group in groups)
        }

    def run_for(self, duration_s: float) -> None:
        self.scheduler.run_for(duration_s)

    def run_until(self, condition: Callable[[], bool], limit_s: float) -> float:
        """Seconds until `condition` holds; AssertionError if it does not within `limit_s`."""
        start = self.now
        while not condition():
            assert self.now - start < limit_s, f"not within {limit_s} s"
            self.run_for(_STEP_S)
        return self.now - start

    def __getitem__(self, node: int) -> Membership:
        return self.lives[node].membership

    def view(self, observer: int, member: int) -> MemberView:
        return self[observer].view()[member]

    def all_see(self, member: int, available: bool) -> bool:
        """Whether every other living node holds `member` available, or holds it not so."""
        return all(
            life.membership.is_available(member) == available
            for node, life in self.lives.items()
            if node != member
        )

    def all_know(self, member: int) -> bool:
        """Whether every living node has heard of the present or a former life of `member`."""
        return all(self.view(node, member).generation > 0 for node in self.lives)

    def deliver(self, sender: int, receiver: int, message: Message) -> None:
        life = self.lives.get(receiver)
        if (sender, receiver) in self.cut or self.drops(sender, receiver, message):
            return
        if life is not None:
            # Through the receiver's runtime, so that a paused node gets it when it wakes up.
            life.runtime.call_soon(life.membership.handlers[type(message)], sender, message)


class Life:
    """One node from its start to its end; also the Transport it is handed."""

    def __init__(self, world: World, node: int, runtime: NodeRuntime) -> None:
        self.world = world
        self.node = node
        self.runtime = runtime
        self.membership = Membership(
            range(world.nodes), node, runtime, self, self._changed, world.settings
        )

    def send(self, node: int, message: Message) -> None:
        world = self.world
        world.sent[type(message)] += 1
        if world.rng.random() >= world.loss:
            delay_s = world.delay_s + world.rng.random() * world.jitter_s
            world.scheduler.after(delay_s, None, world.deliver, self.node, node, message)

    def is_up(self, node: int) -> bool:
        return True

    def _changed(self, node: int) -> None:
        available = self.membership.is_available(node)
        self.world.changes.append((self.world.now, self.node, node, available))
