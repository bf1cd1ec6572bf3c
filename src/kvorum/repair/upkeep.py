"""How often replicas are compared and swept, and how long tombstones rest."""

from __future__ import annotations

from typing import NamedTuple


class Upkeep(NamedTuple):
    interval_s: float = 60.0
    """From one comparison of all partitions with a peer to the next, at least."""
    grace_s: float = 60.0
    """From when all owners hold a tombstone to when it may be collected. It must be longer
    than any message can be under way: see `collection.py`."""
    sweep_s: float = 60.0
    """From the end of one walk for what has expired to the beginning of the next, at least."""


DEFAULTS = Upkeep()
