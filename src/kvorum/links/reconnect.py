"""When to dial one node: when there is a message for it, and again after failures, less and less
often.

The pause doubles with each attempt from `pause_min_s` to `pause_max_s`; each is shortened by up to
a half at random, so that the nodes of a cluster do not all dial at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kvorum.runtime.ports import Cancellable, Runtime


@dataclass(frozen=True, slots=True)
class DialLimits:
    """The times of dialing, in seconds. `connect_s`: how long to wait for a connection.

    They bound how long a node stays unreached after the network to it has come back: to the second
    attempt of the kernel within `connect_s`, or to the rest of that and a pause.
    """

    connect_s: float = 1.5
    pause_min_s: float = 0.05
    pause_max_s: float = 1.0


class Reconnect:
    """Calls `dial` for each attempt to reach one node; call `ended` at the end of each."""

    def __init__(self, runtime: Runtime, dial: Callable[[], object], limits: DialLimits) -> None:
        self._runtime = runtime
        self._dial = dial
        self._limits = limits
        self._planned: Cancellable | None = None
        self._under_way = False
        self.pause_s = limits.pause_min_s
        """The longest that the next pause may be."""

    def now(self) -> None:
        """Dial now, unless an attempt is under way or planned."""
        if not self._under_way and self._planned is None:
            self._begin()

    def later(self) -> None:
        """Dial after a pause, unless an attempt is under way or planned."""
        if not self._under_way and self._planned is None:
            delay_s = self.pause_s * self._runtime.rng.uniform(0.5, 1.0)
            self.pause_s = min(2 * self.pause_s, self._limits.pause_max_s)
            self._planned = self._runtime.call_later(delay_s, self._begin)

    def ended(self) -> None:
        """The attempt under way has led to a connection, or has failed."""
        self._under_way = False

    def rest(self) -> None:
        """Give up the planned attempt: a link was made in another way, or none is wanted."""
        if self._planned is not None:
            self._planned.cancel()
            self._planned = None

    def forget_failures(self) -> None:
        """The link was good for long: begin with the shortest pause again."""
        self.pause_s = self._limits.pause_min_s

    def _begin(self) -> None:
        self._planned = None
        self._under_way = True
        self._dial()
