"""Probes: asking before suspecting (SWIM; Das, Gupta, Motivala 2002).

    asker ── Ping ─────────────────────────────> target      (1) no Pong in time:
    asker ── PingRequest ──> helper ── Ping ───> target      (2) the same through others,
    asker <─── PingReport ── helper <─── Pong ── target          whose links may be better

Any sign of life of the target, by whatever way, settles its probe, under way or failed. A
helper keeps nothing: the ping names its asker, the pong says it back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kvorum.cluster.chance import Chance
from kvorum.cluster.settings import MembershipSettings
from kvorum.wire.messages import Message, Ping, PingRequest


class Send(NamedTuple):
    """A message that is to be sent to `node`."""

    node: int
    message: Message


@dataclass(eq=False)
class Probe:
    """One probe of the node `target`. `failed`: nobody has reached it in time."""

    target: int
    number: int
    deadline: float
    helpers: tuple[int, ...] | None = field(default=None, init=False)
    """None until help has been asked for."""
    failed: bool = field(default=False, init=False)
    seconded: bool = field(default=False, init=False)
    """True once another node takes the target to be suspect, too."""


class Probes:
    """The probes that nothing has settled yet, one at most for each target."""

    def __init__(self, local: int, settings: MembershipSettings, rng: Chance) -> None:
        self.begun = 0
        self._local = local
        self._settings = settings
        self._rng = rng
        self._probes: dict[int, Probe] = {}
        # At random, so that an answer to a former life of this node settles nothing.
        self._number = rng.getrandbits(62)

    def begin(self, target: int, now: float) -> list[Send]:
        """Begin to probe `target`, unless that is under way. Returns what to send."""
        if target in self._probes:
            return []
        self.begun += 1
        self._number += 1
        deadline = now + self._settings.ping_timeout_s
        self._probes[target] = Probe(target, self._number, deadline)
        return [Send(target, Ping(self._number, self._local))]

    def settle(self, target: int) -> None:
        """`target` has shown a sign of life: its probe ends."""
        self._probes.pop(target, None)

    def abandon(self) -> None:
        """End all probes, without a result."""
        self._probes.clear()

    def report(self, helper: int, number: int) -> int | None:
        """The target that `helper` has reached on behalf of this node, if it was asked to."""
        for probe in self._probes.values():
            if probe.number == number and probe.helpers and helper in probe.helpers:
                return probe.target
        return None

    def second(self, target: int) -> None:
        """Another node takes `target` to be suspect, too."""
        if target in self._probes:
            self._probes[target].seconded = True

    def failed(self, target: int) -> Probe | None:
        """The probe of `target` if nobody has reached it, though all were given their time."""
        probe = self._probes.get(target)
        return probe if probe is not None and probe.failed else None

    def step(self, now: float, available: Callable[[], Sequence[int]]) -> list[Send]:
        """What to send now. `available` returns the nodes that can be asked for help."""
        sends: list[Send] = []
        for probe in self._probes.values():
            if probe.failed or probe.deadline > now:
                continue
            if probe.helpers is None:
                sends += self._ask_for_help(probe, now, available())
            else:
                probe.failed = True
        return sends

    def _ask_for_help(self, probe: Probe, now: float, available: Sequence[int]) -> list[Send]:
        others = [node for node in available if node != probe.target]
        probe.helpers = tuple(self._rng.sample(others, min(self._settings.helpers, len(others))))
        probe.deadline = now + self._settings.help_timeout_s
        request = PingRequest(probe.number, probe.target)
        # The first ping may have been lost: with two nodes there is no other way to find out.
        again = Send(probe.target, Ping(probe.number, self._local))
        return [again, *(Send(helper, request) for helper in probe.helpers)]
