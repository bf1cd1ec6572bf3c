"""One member, as another node sees it.

    up ──(nobody reaches it)──> suspect ──(still silent)──> down
     ^                             │                          │
     └────(heard, long enough)─────┴──────────────────────────┘

A *life* is (generation, heartbeat), compared in that order: the generation is the wall clock
at the process's start, the heartbeat counts its rounds. Only the member itself makes either
larger, so a larger life seen anywhere proves that the member lived later than we knew.

How long is long enough? After a first outage, one message from the node itself; of hearsay,
two heartbeats an interval apart, since a single one may have been under way since before its
death. A node that keeps going and coming must be heard steadily for longer each time.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

from kvorum.cluster.phi import Arrivals
from kvorum.cluster.settings import MembershipSettings

State = Literal["up", "suspect", "down"]
Life = tuple[int, int]

UNKNOWN: Final[Life] = (0, 0)
_OUTAGES_KEPT: Final = 16


class Member:
    """The state of one member: whether it is up, and the evidence for that.

    `life`: the latest that was seen. `active_ms`: its wall clock then. `since`: from when on it has
    been in its `state`, in one life if that is up; monotonic.
    """

    def __init__(self, node: int, settings: MembershipSettings, now: float) -> None:
        self.node = node
        self.life = UNKNOWN
        self.active_ms = 0
        self.state: State = "up"
        self.since = now
        self.suspicions = 0
        self.refutations = 0
        self.arrivals = Arrivals(settings.interval_s, settings.window, settings.deviation_floor_s)
        self._settings = settings
        self._outages: deque[float] = deque(maxlen=_OUTAGES_KEPT)
        self._returning: float | None = None

    @property
    def is_available(self) -> bool:
        """True if requests may be sent to it."""
        return self.state == "up"

    def is_silent(self, now: float) -> bool:
        """True if the member has not been heard for so long that it is suspicious."""
        return self.arrivals.phi(now) > self._settings.phi_threshold

    # Evidence: each returns whether the member has become available by it.

    def spoke(self, now: float) -> bool:
        """It sent us something, or one of those we asked has just reached it."""
        self.arrivals.sign(now)
        return self.state != "up" and self._returns(now, self.hold_s(now))

    def lived(self, life: Life, active_ms: int, now: float) -> bool:
        """`life`, larger than the one known, has come to us by whatever way."""
        if life[0] != self.life[0]:
            self.arrivals.interrupt()
            if self.life != UNKNOWN and self.state == "up":
                self.since = now  # It has started anew before anybody missed it.
        self.life = life
        self.active_ms = active_ms
        self.arrivals.beat(now)
        hold_s = max(self.hold_s(now), self._settings.interval_s)
        return self.state != "up" and self._returns(now, hold_s)

    # Time: what follows from silence.

    def suspect(self, now: float) -> None:
        """Nobody reaches it."""
        self._become("suspect", now)
        self.suspicions += 1
        self._outages.append(now)
        self._returning = None
        self.arrivals.interrupt()

    def age(self, now: float) -> None:
        """For a member that is not up: silence ends its return, and makes a suspect down."""
        if self._returning is not None:
            if self.is_silent(now):
                self._returning = None
                self.arrivals.interrupt()
        elif self.state == "suspect" and now - self.since >= self._settings.down_after_s:
            self._become("down", now)

    def hold_s(self, now: float) -> float:
        """For how many seconds it must be heard from now on before it is up again."""
        while self._outages and now - self._outages[0] > self._settings.flap_window_s:
            self._outages.popleft()
        repeats = len(self._outages) - 1
        if repeats < 1:
            return 0.0
        return min(
            self._settings.flap_hold_s * 2.0 ** (repeats - 1), self._settings.flap_hold_max_s
        )

    def _returns(self, now: float, hold_s: float) -> bool:
        if self._returning is None:
            self._returning = now
        if now - self._returning < hold_s:
            return False
        if self.state == "suspect":
            self.refutations += 1
        self._become("up", now)
        return True

    def _become(self, state: State, now: float) -> None:
        self.state = state
        self.since = now
