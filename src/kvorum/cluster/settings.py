"""What an operator may choose about membership; the defaults find a killed node within 5 s."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kvorum.model.field_checks import check_range
from kvorum.model.topology import naming


class MembershipSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of membership, in seconds. Raises ConfigError, which names the field."""

    interval_s: float = 1.0
    """A node's heart beats, and it gossips, once in this time (give or take a tenth)."""
    fanout: int = 3
    """Random live peers that a round goes to."""
    seed_chance: float = 0.25
    """How likely a round also goes to a seed."""

    phi_threshold: float = 8.0
    """Suspicion at which a node that no probe has reached is suspect."""
    phi_probe: float = 2.0
    """Suspicion at which a silent node is probed."""
    window: int = 64
    """Gaps between heartbeats that are remembered of each node."""
    deviation_floor_s: float = 0.2
    """Gaps are taken to vary at least this much: a calm network must not make us jumpy."""
    first_contact_s: float = 10.0
    """For how long after our start a node that was never heard of is not suspected."""

    ping_timeout_s: float = 0.4
    """A node that has not answered a ping by then is pinged by others too."""
    helpers: int = 3
    """How many others are asked to ping it."""
    help_timeout_s: float = 0.8
    """If none of them has reached it by then, the probe has failed."""
    down_after_s: float = 3.0
    """A suspect that is not heard of for this long is down."""

    flap_window_s: float = 300.0
    """Outages further back are forgotten."""
    flap_hold_s: float = 0.5
    """After a second outage a node must be heard steadily for this long to be up again; for
    each further one, twice as long."""
    flap_hold_max_s: float = 1.0
    """But never longer than this. It is part of what a cluster needs after a fault has ended."""

    def __post_init__(self) -> None:
        for field, (low, high) in _RANGES.items():
            value: Any = getattr(self, field)
            with naming(f"membership: {field}"):
                check_range(value, low, high)


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "interval_s": (0.01, 60),
    "fanout": (1, 16),
    "seed_chance": (0, 1),
    "phi_threshold": (1, 100),
    "phi_probe": (0.5, 100),
    "window": (4, 1024),
    "deviation_floor_s": (0.001, 60),
    "first_contact_s": (0, 600),
    "ping_timeout_s": (0.01, 60),
    "helpers": (0, 16),
    "help_timeout_s": (0.01, 60),
    "down_after_s": (0, 600),
    "flap_window_s": (0, 86_400),
    "flap_hold_s": (0, 600),
    "flap_hold_max_s": (0, 3600),
}
