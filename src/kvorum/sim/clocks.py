"""Wall clocks: how far each node's is ahead of the true time, and how far any has ever been.

They jump, no further than clocks may differ; and one at a time may be wrong: it shows something
that no node may go by, until it is put right or the node starts again.
"""

from __future__ import annotations

from kvorum.cluster.clocks import ROUND_TRIP_S_MAX
from kvorum.sim.scheduler import EPOCH_MS


class WallClocks:
    """The wall clocks of all nodes. `wrong`: the nodes whose clocks are."""

    def __init__(self, offsets_ms: list[int]) -> None:
        self.offsets_ms = offsets_ms
        self.wrong: set[int] = set()
        self._seen = set(offsets_ms)
        self._ever_wrong = False

    def set(self, node: int, offset_ms: int) -> None:
        """Have the clock of `node` be ahead of the true time by so much."""
        self.offsets_ms[node] = offset_ms
        self._seen.add(offset_ms)
        self.wrong.discard(node)

    def spoil(self, node: int) -> None:
        """The clock of `node` is wrong."""
        self._ever_wrong = True
        self.wrong.add(node)

    @property
    def skew_s(self) -> float:
        """How far apart any two clocks that nodes went by have been, whenever that was. One with a
        wrong clock goes by the others', as far as it knows what they show.
        """
        unsure_s = ROUND_TRIP_S_MAX / 2 if self._ever_wrong else 0.0
        return (max(self._seen) - min(self._seen)) / 1000 + unsure_s

    def slowest_ms(self, time: float) -> int:
        """What the slowest wall clock there has been would show at that time."""
        return EPOCH_MS + min(self._seen) + int(time * 1000)

    def fastest_ms(self, time: float) -> int:
        """What the fastest wall clock there has been would show at that time."""
        return EPOCH_MS + max(self._seen) + int(time * 1000)
