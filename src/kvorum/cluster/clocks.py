"""Clocks: how this node's wall clock compares with those of the others, and what may be done by it.

A gossip digest carries when it was sent, by the sender's monotonic clock; its answer repeats that,
with the wall clock of the node that answers. As in NTP, that clock showed its time half a round
trip ago, give or take that half. What is kept is the other's wall clock against our *monotonic*
one: so a jump of our own wall clock shows at once, before anything more is heard, and a clock that
was heard of minutes ago still counts, as monotonic clocks hardly drift.

    trusted      a majority of the cluster, this node included, shows our time, within SKEW_MS
    unconfirmed  too few were heard of to say, and what was heard does not contradict
    wrong        more than half of the others heard are ahead of us by more than SKEW_MS, or more
                 than half behind; and a majority of the cluster agrees on another time
    disputed     the same, but no time has a majority: with two nodes nobody knows which is right
    accepted     an operator says that it is right. Until it jumps, or the process ends

More than half of the others on one side is to be away from their median, and where that lies
between two of them, from all between: one wrong clock of three moves the middle of the other two,
and must not make the third one distrust itself.

What may be done by a clock:

    remove      take expired versions out of records, which destroys them on all nodes: trusted or
                accepted. It can wait, and does while no majority can be compared with
    mint        give a version its expiry, which all nodes go by: not if wrong or disputed. A node
                that has just started first compares with another one, for as long as it would wait
                before it missed one
    judge       hide expired versions from clients: that has to be decided somehow, and destroys
                nothing. By our clock; if that is wrong, by the majority's time
"""

from __future__ import annotations

from statistics import median
from typing import Final, Literal, NamedTuple

from kvorum.runtime.ports import Runtime

SKEW_MS: Final = 10_000
"""Clocks that differ by no more are taken to show the same time."""
WALL_MS_MAX: Final = (1 << 53) - 1

ROUND_TRIP_S_MAX: Final = 2.0
"""What took longer says too little."""
_KEPT_S: Final = 600.0
"""For how long a clock counts that is not heard of again."""
_JUMP_MS: Final = 500
"""If our clock moves by more against the monotonic one, all is judged anew."""

ClockState = Literal["trusted", "unconfirmed", "wrong", "disputed", "accepted"]


class Reading(NamedTuple):
    """Another node's clock: `base_ms` ahead of our monotonic one, +- `unsure_ms`, at `read_at`."""

    base_ms: float
    unsure_ms: float
    read_at: float


class Clocks:
    """The wall clocks of the other nodes, compared with this node's."""

    def __init__(self, nodes: int, runtime: Runtime, first_contact_s: float) -> None:
        """`nodes`: how many the cluster has. `first_contact_s`: how long a node that has just
        started waits for another one before it relies on its own clock.
        """
        self._nodes = nodes
        self._runtime = runtime
        self._first_contact_s = first_contact_s
        self._began = runtime.now()
        self._readings: dict[int, Reading] = {}
        self._accepted_ms: float | None = None
        self._judge()

    # What is known of the others

    def compare(self, node: int, wall_ms: int, asked_at: float) -> None:
        """`node` has answered with its wall clock what we asked at `asked_at`."""
        now = self._runtime.now()
        round_trip_s = now - asked_at
        if 0 <= round_trip_s <= ROUND_TRIP_S_MAX:
            half_ms = round_trip_s * 500
            self._readings[node] = Reading(wall_ms + half_ms - now * 1000, half_ms, now)
            self._judge()

    def refresh(self) -> None:
        """Forget what is too old, and judge anew."""
        oldest = self._runtime.now() - _KEPT_S
        self._readings = {n: r for n, r in self._readings.items() if r.read_at >= oldest}
        self._judge()

    def ahead_ms(self) -> dict[int, int]:
        """By how much the clocks of others are ahead of ours, of those that were heard of."""
        base_ms = self._base_ms()
        return {node: round(r.base_ms - base_ms) for node, r in self._readings.items()}

    # What follows for ours

    @property
    def state(self) -> ClockState:
        """How this node's clock stands, judged anew if it has jumped."""
        if abs(self._base_ms() - self._judged_ms) > _JUMP_MS:
            self._judge()
        return self._state

    @property
    def may_remove(self) -> bool:
        """True if expired versions may be removed by this clock."""
        return self.state in ("trusted", "accepted")

    @property
    def may_mint(self) -> bool:
        """True if versions may be given an expiry by this clock."""
        state = self.state
        if state != "unconfirmed":
            return state in ("trusted", "accepted")
        waited_s = self._runtime.now() - self._began
        return bool(self._readings) or waited_s >= self._first_contact_s

    def now_ms(self) -> int:
        """The wall clock (ms) by which expiry is judged."""
        wall_ms = self._runtime.wall_ms()
        return wall_ms if self.state != "wrong" else wall_ms + self._correction_ms

    def accept(self) -> None:
        """Take this node's clock for right as it is: an operator says so."""
        self._accepted_ms = self._base_ms()
        self._judge()

    def _base_ms(self) -> float:
        return self._runtime.wall_ms() - self._runtime.now() * 1000

    def _judge(self) -> None:
        base_ms = self._judged_ms = self._base_ms()
        self._correction_ms = 0
        accepted_ms = self._accepted_ms
        if accepted_ms is not None and abs(base_ms - accepted_ms) > SKEW_MS:
            accepted_ms = self._accepted_ms = None
        ahead = [(r.base_ms - base_ms, r.unsure_ms) for r in self._readings.values()]
        before = sum(by + unsure < -SKEW_MS for by, unsure in ahead)
        after = sum(by - unsure > SKEW_MS for by, unsure in ahead)
        if 1 + len(ahead) - before - after >= self._majority:
            self._state: ClockState = "trusted"
        elif accepted_ms is not None:
            self._state = "accepted"
        elif 2 * max(before, after) <= len(ahead):
            self._state = "unconfirmed"
        else:
            others = self._agreed_ms(sorted(by for by, _ in ahead))
            self._state = "disputed" if others is None else "wrong"
            self._correction_ms = others or 0

    @property
    def _majority(self) -> int:
        return self._nodes // 2 + 1

    def _agreed_ms(self, ahead: list[float]) -> int | None:
        """What clocks that are a majority of the cluster are ahead of ours; None without one."""
        needed = self._majority
        for first in range(len(ahead) - needed + 1):
            group = [by for by in ahead[first:] if by - ahead[first] <= SKEW_MS]
            if len(group) >= needed:
                return round(median(group))
        return None
