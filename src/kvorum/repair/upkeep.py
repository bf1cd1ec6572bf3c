"""How often replicas are compared and swept, and how long tombstones are kept at least."""

from __future__ import annotations

from typing import NamedTuple


class Upkeep(NamedTuple):
    """The intervals of background work, in seconds."""

    interval_s: float = 60.0
    """From one comparison of all partitions with a peer to the next, at least."""
    grace_s: float = 60.0
    """From when all owners hold a tombstone to when it may be collected. It must be longer than any
    message can be under way (`collection.py`).
    """
    sweep_s: float = 60.0
    """From the end of one sweep for expired versions to the beginning of the next, at least."""


DEFAULTS = Upkeep()
