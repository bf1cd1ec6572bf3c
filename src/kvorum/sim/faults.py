"""Faults: what breaks, and when. Each kind strikes at its own rate, at random intervals.

    crash       a node is killed and forgets part of what it had not synced
    outage      all nodes are killed at once (the power fails)
    restart     a node is shut down in order, at once
    leave       a node is shut down as planned: it tells the others and its clients first
    break       a link breaks
    partition   some nodes and the others do not hear each other; their links break in time
    deafen      one direction between two nodes is cut
    stall       one direction between two nodes is held up for a while
    pause       a process stands still, then goes on as if nothing had been
    clock       a wall clock jumps, no further than clocks may differ
    wrong clock the wall clock of one node at a time is days or decades away, and put right later
    disk        a log sync fails; the node stops soon, as it must
    full        the disks of one node, or of several, have no room for a while
    damage      a record on the disk of one of its owners does not read any more
    misread     one read of a record fails, or a few on end
    rotate      where records are sealed, a node takes new keys

Damage takes what a replica holds, and what takes its place may be older. So in all of a run
it befalls a key at fewer owners than a write has to be stored on: then one of those that
acknowledged it was never struck. A wiped node counts as struck for every key.

A wipe, of one node and once a run, gives a node that was killed an empty disk. More would
be allowed to lose data, and so would a write that only one replica had to acknowledge.

One kind is not left to chance, because the moment matters: an ambush kills some of a key's
owners just when a write of it has been acknowledged, or of all nodes, or stops them in order.

What has gone down comes back after a while. `Conditions` has the faults of single batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from kvorum.sim.parameters import (
    CLOCK_SKEW_MS_MAX,
    DISK_FAULT_KINDS,
    FAULT_KINDS,
    LEAVE,
    ROTATE,
    WRONG_CLOCK,
    Parameters,
    stream,
)
from kvorum.sim.scheduler import EPOCH_MS
from kvorum.sim.world import World

_STOPS_S_MAX: Final = 0.02
_ALL_ENDED_S: Final = 5.0
"""The longest deadline after the longest pause."""
_DAY_MS: Final = 86_400_000
_TO_1970_MS: Final = CLOCK_SKEW_MS_MAX - EPOCH_MS
"""From wherever a clock stands: no system lets one show a time before 1970."""
_WRONG_FOR_S_MAX: Final = 3.0
"""Time for a sweep or two."""
_PAUSE_S_MAX: Final = 2.0
_GRACE_S_MAX: Final = 0.1


class Faults:
    """The faults of one run, drawn at random."""

    def __init__(self, world: World, parameters: Parameters) -> None:
        kinds = (*FAULT_KINDS, *DISK_FAULT_KINDS, ROTATE, WRONG_CLOCK, LEAVE)
        self.counts = {**dict.fromkeys(kinds, 0), "ambush": 0, "wipe": 0}
        self._world = world
        self._parameters = parameters
        self._rng = stream(parameters.seed, "faults")
        self._disk_rng = stream(parameters.seed, "disk faults")
        self._clock_rng = stream(parameters.seed, "wrong clocks")
        self._leave_rng = stream(parameters.seed, "leaves")
        self._struck: dict[bytes, set[int]] = {}
        """By storage key the nodes whose record of it was damaged."""
        self._active = False
        self._strikes: dict[str, Callable[[], bool]] = {
            "crash": partial(self._strike_node, partial(self._take_down, world.crash)),
            "outage": self._outage,
            "restart": partial(self._strike_node, partial(self._take_down, world.stop)),
            "break": self._break,
            "partition": self._partition,
            "deafen": self._deafen,
            "stall": self._stall,
            "pause": self._pause,
            "clock": self._clock,
            "disk": partial(self._strike_node, self._fail_disk),
            WRONG_CLOCK: self._wrong_clock,
            "full": self._full,
            "damage": self._damage,
            "misread": self._misread,
            ROTATE: self._rotate,
            LEAVE: self._leave,
        }

    def start(self) -> None:
        self._active = True
        if self._parameters.wipe_after_s:
            after = self._world.scheduler.after
            after(self._parameters.wipe_after_s, None, self._wipe)
        for kind in self._parameters.fault_rates:
            self._await(kind)
        if self._parameters.ambush:
            self._world.when_acked(self._ambush)

    def stop(self) -> None:
        """End the faults, with a power failure or restarts if there are to be any; heal."""
        if self._parameters.power_failure:
            self._outage()
        self._active = False
        if self._parameters.rolling_restart:
            self._restart_all()
        self._world.heal()

    def _restart_all(self) -> None:
        """One node after another, once nothing is under way any more. The network is as it was."""
        self._world.scheduler.run_for(_ALL_ENDED_S)
        for node in self._world.up():
            self._world.stop(node)
            self._world.start(node)

    def _await(self, kind: str) -> None:
        rng = self._disk_rng if kind in (*DISK_FAULT_KINDS, ROTATE) else self._rng
        rng = {WRONG_CLOCK: self._clock_rng, LEAVE: self._leave_rng}.get(kind, rng)
        delay_s = rng.expovariate(self._parameters.fault_rates[kind])
        self._world.scheduler.after(delay_s, None, self._strike, kind)

    def _strike(self, kind: str) -> None:
        if self._active:
            if self._strikes[kind]():
                self.counts[kind] += 1
            self._await(kind)

    # Nodes. Each strike returns whether it found something to strike.

    def _outage(self) -> bool:
        for node in self._world.up():
            self._take_down(self._world.crash, node)
        return True

    def _ambush(self, namespace: str, key: str) -> None:
        if self._active and self._rng.random() < self._parameters.ambush:
            self.counts["ambush"] += 1
            nodes: Sequence[int] = self._world.holdings.owners(namespace, key)
            if self._parameters.ambush_all:
                nodes = range(self._parameters.nodes)
            how = self._world.crash
            if self._parameters.ambush_stops and self._rng.random() < self._parameters.ambush_stops:
                how = self._world.stop
            for node in self._rng.sample(nodes, self._rng.randint(1, len(nodes))):
                # Not in the middle of what it does: it is telling a client of the write.
                self._world.scheduler.after(0.0, None, self._take_down, how, node)

    def _wipe(self) -> None:
        up = self._world.up()
        if self._active and up:
            node = self._rng.choice(up)
            self._world.crash(node)
            self._world.wipe(node)
            self.counts["wipe"] += 1
            self._world.scheduler.after(self._recovery_s(), None, self._bring_up, node)

    def _strike_node(self, how: Callable[[int], object]) -> bool:
        up = self._world.up()
        if not up or len(self._world.lives) - len(up) >= self._parameters.down_max:
            return False
        how(self._rng.choice(up))
        return True

    def _leave(self) -> bool:
        world = self._world
        up = world.up()
        down = len(world.lives) - len(up)
        if down >= self._parameters.down_max or world.departures.staying(up) != up:
            return False
        if set(self._parameters.fault_rates) == {LEAVE} and world.views() is None:
            return False  # Who restarts one node after another waits until all are ready.
        node = self._leave_rng.choice(up)
        away_s = self._leave_rng.expovariate(1 / self._parameters.recovery_s_mean)
        back = partial(world.scheduler.after, away_s, None, self._bring_up, node)
        world.leave(node, self._leave_rng.uniform(0, _GRACE_S_MAX), back)
        return True

    def _fail_disk(self, node: int) -> None:
        self._world.fail_disk(node)
        stops_s = self._rng.uniform(0, _STOPS_S_MAX)
        self._world.scheduler.after(stops_s, None, self._take_down, self._world.crash, node)

    def _take_down(self, how: Callable[[int], object], node: int) -> None:
        if self._active:
            how(node)
            self._world.scheduler.after(self._recovery_s(), None, self._bring_up, node)

    def _bring_up(self, node: int) -> None:
        if self._active and self._world.lives[node] is None:
            self._world.start(node)

    def _pause(self) -> bool:
        up = self._world.up()
        if not up:
            return False
        node = self._rng.choice(up)
        duration_s = min(self._recovery_s(), _PAUSE_S_MAX)
        self._world.runtime(node).pause(duration_s)
        self._world.trace.note(f"n{node} stands still for {duration_s:.6f} s")
        return True

    def _clock(self) -> bool:
        node = self._rng.randrange(self._parameters.nodes)
        self._world.set_clock(node, self._rng.randint(-CLOCK_SKEW_MS_MAX, CLOCK_SKEW_MS_MAX))
        return True

    def _wrong_clock(self) -> bool:
        """Of a node that has compared its clock with all others: it must know better. And one at a
        time: nobody may remember another one that was wrong, or two of them could be a majority.
        Of two clocks that differ nobody can tell which is wrong.
        """
        rng, world = self._clock_rng, self._world
        nodes = [node for node in world.up() if world.has_compared_clocks(node)]
        two = self._parameters.nodes == 2
        if two or not nodes or world.clocks.wrong or not world.clocks_agree:
            return False
        node = rng.choice(nodes)
        ahead_ms = rng.choice((rng.randint(-_DAY_MS, 3 * _DAY_MS), 2 * _DAY_MS, _TO_1970_MS))
        world.spoil_clock(node, ahead_ms)
        world.scheduler.after(rng.uniform(0, _WRONG_FOR_S_MAX), None, world.right_clock, node)
        return True

    # Disks

    def _full(self) -> bool:
        rng, nodes = self._disk_rng, self._parameters.nodes
        several = rng.choice((1, 1, 1, rng.randint(1, nodes)))
        for node in rng.sample(range(nodes), several):
            self._world.set_full(node, True)
            duration_s = rng.expovariate(1 / self._parameters.recovery_s_mean)
            self._world.scheduler.after(duration_s, None, self._world.set_full, node, False)
        return True

    def _damage(self) -> bool:
        up = self._world.up()
        if not up:
            return False
        node = self._disk_rng.choice(up)
        records = [key for key in self._world.records(node) if self._may_damage(node, key)]
        if not records:
            return False
        key = self._disk_rng.choice(records)
        self._struck.setdefault(key, set()).add(node)
        self._world.damage(node, key)
        return True

    def _may_damage(self, node: int, key: bytes) -> bool:
        struck = self._struck.get(key, set())
        lost_max = self._parameters.copies_lost_max(self._world.holdings.settings_at(key))
        return node in struck or len(struck) < lost_max

    def _misread(self) -> bool:
        up = self._world.up()
        if up:
            node, burst = self._disk_rng.choice(up), self._parameters.misread_burst
            times = self._disk_rng.randint(1, burst) if burst > 1 else 1
            self._world.misread(node, times)
        return bool(up)

    def _rotate(self) -> bool:
        """No fault, but what people do meanwhile."""
        up = self._world.up()
        if up:
            self._world.rotate(self._disk_rng.choice(up))
        return bool(up)

    # Paths

    def _break(self) -> bool:
        a, b = self._two_nodes()
        return self._world.wires.break_link(a, b)

    def _partition(self) -> bool:
        nodes = list(range(self._parameters.nodes))
        self._rng.shuffle(nodes)
        cut = self._rng.randint(1, len(nodes) - 1)
        pairs = [(a, b) for a in nodes[:cut] for b in nodes[cut:]]
        self._world.trace.note(f"partition {nodes[:cut]} | {nodes[cut:]}")
        self._block(pairs + [(b, a) for a, b in pairs])
        return True

    def _deafen(self) -> bool:
        a, b = self._two_nodes()
        self._world.trace.note(f"n{b} cannot hear n{a}")
        self._block([(a, b)])
        return True

    def _stall(self) -> bool:
        a, b = self._two_nodes()
        self._world.network.stall(a, b, self._recovery_s())
        return True

    def _block(self, paths: list[tuple[int, int]]) -> None:
        """Block `paths` for a while. In time the links over them are noticed to be dead."""
        world, after = self._world, self._world.scheduler.after
        duration_s = self._recovery_s()
        for path in paths:
            world.wires.block(*path)
            after(duration_s, None, self._unblock, *path)
            noticed_s = self._rng.uniform(0, self._parameters.noticed_s_max)
            if noticed_s < duration_s:
                after(noticed_s, None, world.wires.break_link, *path)

    def _unblock(self, source: int, target: int) -> None:
        if self._active:
            self._world.wires.unblock(source, target)

    def _two_nodes(self) -> tuple[int, int]:
        a, b = self._rng.sample(range(self._parameters.nodes), 2)
        return a, b

    def _recovery_s(self) -> float:
        return self._rng.expovariate(1 / self._parameters.recovery_s_mean)
