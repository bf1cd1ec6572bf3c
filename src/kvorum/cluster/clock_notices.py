"""Notices about clocks: log lines about clocks that differ by more than APART_MS.

Each is logged when the difference is first seen, again each `_AGAIN_S` while it lasts, and once
when it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kvorum.cluster.clocks import ClockState

APART_MS: Final = 2000
"""More than this is worth a warning; up to SKEW_MS it does no harm."""

_AGAIN_S: Final = 600.0
_UNITS: Final = ((86_400_000, "days"), (3_600_000, "hours"), (60_000, "minutes"))


def apart(ahead_ms: Mapping[int, int]) -> dict[int, int]:
    """The clocks that differ from this node's by more than APART_MS; `ahead_ms`: of all others."""
    return {node: by for node, by in ahead_ms.items() if abs(by) > APART_MS}


def difference(ahead_ms: int) -> str:
    """How far a clock is that is `ahead_ms` ahead of ours, in words."""
    way = "ahead of" if ahead_ms > 0 else "behind"
    for unit_ms, name in _UNITS:
        if abs(ahead_ms) >= 2 * unit_ms:
            return f"{abs(ahead_ms) / unit_ms:.1f} {name} {way}"
    return f"{abs(ahead_ms) / 1000:.1f} s {way}"


class ClockNotices:
    """Remembers which differences were logged, and when."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def lines(self, ahead_ms: Mapping[str, int], state: ClockState, now: float) -> list[str]:
        """The lines to log. `ahead_ms`: by name of node. `state`: of this node's clock."""
        found = {
            f"the clock of {name}": f"The clock of {name} is {difference(by)} this node's; "
            "set the clocks."
            for name, by in ahead_ms.items()
        }
        if state in ("wrong", "disputed"):
            found["this node's clock"] = (
                f"This node's clock is {state}: until it agrees with the others' this node removes "
                "no expired versions and gives no lifetimes. If it is right, run 'kvorum clock "
                "accept'."
            )
        over = [what for what in self._told if what not in found]
        lines = [f"There is no difference any more: {what}." for what in over]
        for what in over:
            del self._told[what]
        for what, line in found.items():
            if what not in self._told or now - self._told[what] >= _AGAIN_S:
                self._told[what] = now
                lines.append(line)
        return lines
