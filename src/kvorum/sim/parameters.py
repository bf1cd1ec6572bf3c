"""The parameters of a run: the cluster, its clients, what heals it and what breaks.

`draw.py` draws them from a seed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kvorum.cluster.clocks import SKEW_MS
from kvorum.journal.segment import SegmentLimits
from kvorum.model.topology import DEFAULT_NAMESPACE, NamespaceSettings, QuorumKind
from kvorum.repair.upkeep import DEFAULTS, Upkeep
from kvorum.replication.change import SIBLING_BOUNDS, SiblingBounds
from kvorum.sim.healers import Healers
from kvorum.sim.network import Conditions

NODES_MIN: Final = 3
NODES_MAX: Final = 7
OPERATIONS: Final = 200
TTL_S_MAX: Final = 3

FAULT_KINDS: Final = (
    "crash",
    "outage",
    "restart",
    "break",
    "partition",
    "deafen",
    "stall",
    "pause",
    "clock",
    "disk",
)
"""Those that strike now and then; `Conditions` has those that befall single batches."""

DISK_FAULT_KINDS: Final = ("full", "damage", "misread")
"""These too, drawn and struck from streams of their own."""

ROTATE: Final = "rotate"
"""Only where records are sealed."""

WRONG_CLOCK: Final = "wrong clock"
"""And this one. Only where there are lifetimes: nothing else goes by clocks."""

LEAVE: Final = "leave"
"""A planned stop; drawn from a stream of its own."""

CLOCK_SKEW_MS_MAX: Final = SKEW_MS // 2
"""So that no two clocks differ by more than is allowed, but for one that is wrong."""

UNSTEADY: Final = frozenset({"crash", "outage", "restart", LEAVE, "disk", "damage"})
"""Those that may take from a node what it is owed or owes."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights of what clients do."""

    get: float = 4.0
    put: float = 2.0
    update: float = 3.0
    delete: float = 0.0
    conditional: float = 0.0
    """Probability that a write states what it expects to find."""
    stale: float = 0.0
    """Probability that a client uses an older version than the last it got."""
    choosy: float = 0.0
    """Probability that a request names its own quorum."""
    fleeting: float = 0.0
    """Probability that a put has a time to live."""
    touching: float = 0.0
    """Probability that a client touches what is there, instead of what it was about to do."""
    values: int = 0
    """How many values there are to draw from; 0 means that no value is written twice."""
    large: float = 0.0
    """Probability that a put writes a large value."""
    repeating: float = 0.0
    """Probability that a put draws its value from those; others are written once."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one run."""

    seed: int
    nodes: int
    replicas: int
    read: int
    write: int
    operations: int = OPERATIONS
    clients: int = 4
    keys: int = 3
    timeout_ms: int = 500
    quorum: QuorumKind = "strict"
    pause_s_mean: float = 0.005
    """Between a client's requests."""
    mix: Mix = field(default_factory=Mix)
    sync_s_mean: tuple[float, ...] = (0.002,) * NODES_MIN
    """Of each node's disk."""
    clock_skew_ms: int = 0
    conditions: Conditions = field(default_factory=Conditions)
    fault_rates: Mapping[str, float] = field(default_factory=dict)
    """Mean number a second, by kind."""
    recovery_s_mean: float = 0.1
    """How long a node stays down, a path blocked or stalled, a process paused."""
    down_max: int = 1
    ambush: float = 0.0
    """Probability that an acknowledged write has owners of its key killed at once."""
    ambush_all: bool = False
    """An ambush strikes any nodes."""
    ambush_stops: float = 0.0
    """Probability that nodes are stopped in order by an ambush, and not killed."""
    noticed_s_max: float = 0.2
    """Until the ends of a blocked path notice that their link is dead, if nothing else tells."""
    misread_burst: int = 1
    """How many reads on end fail at most when one does."""
    power_failure: bool = False
    """All nodes crash at once when the faults end."""
    rolling_restart: bool = False
    """All nodes restart in order when the faults end, before the network heals."""
    heartbeat_s: float = 1.0
    """How often nodes gossip; all other times of membership are in proportion."""
    upkeep: Upkeep = DEFAULTS
    sealed: bool = False
    """Records are sealed as on a real disk: compressed, encrypted, behind a row cache."""
    healers: Healers = field(default_factory=Healers)
    wipe_after_s: float = 0.0
    """When a node loses its disk; 0 is never."""
    others: Mapping[str, NamespaceSettings] = field(default_factory=dict)
    """The namespaces beside the default one, whose settings stand above."""
    siblings: SiblingBounds = SIBLING_BOUNDS
    """How many a coordinated write may leave."""
    segments: SegmentLimits = field(default_factory=lambda: SegmentLimits(4096, 4096, 0.5))
    """When what is written is flushed."""

    @property
    def namespaces(self) -> dict[str, NamespaceSettings]:
        settings = NamespaceSettings(
            replicas=self.replicas,
            read=self.read,
            write=self.write,
            timeout_ms=self.timeout_ms,
            quorum=self.quorum,
        )
        return {DEFAULT_NAMESPACE: settings, **self.others}

    def copies_lost_max(self, settings: NamespaceSettings) -> int:
        """Of how many of a key's copies damage may take what they hold. A write is promised to be
        there once `write` replicas have it, so one of those has to be left; a wipe takes one too.
        With a sloppy quorum they need not be owners.
        """
        if settings.quorum == "sloppy":
            return 0
        return min(settings.write, settings.replicas) - 1 - bool(self.wipe_after_s)

    @property
    def value_bytes_max(self) -> int:
        """A record with one value of that size, and what is known of the key, can be made."""
        return self.siblings.bytes // 4

    @property
    def crowded(self) -> bool:
        """True if siblings may become more than a coordinator makes."""
        return self.siblings != SIBLING_BOUNDS

    @property
    def fleeting(self) -> bool:
        """True if values expire."""
        return self.mix.fleeting > 0 or any(s.ttl for s in self.others.values())

    @property
    def steady(self) -> bool:
        """True if no node goes down or loses what it has: then hints alone have to heal."""
        return (
            UNSTEADY.isdisjoint(self.fault_rates)
            and not self.ambush
            and not self.power_failure
            and not self.wipe_after_s
        )

    @property
    def keeps_copies(self) -> bool:
        """True if no node loses what it has acknowledged, so that each answers for its copies."""
        return not self.wipe_after_s and "damage" not in self.fault_rates

    @property
    def prompt(self) -> bool:
        """True if all that is sent arrives in order and soon, or its link breaks."""
        return self.conditions == self.conditions.calm() and "stall" not in self.fault_rates

    @property
    def only_full(self) -> bool:
        """True if nothing is wrong but that disks are full now and then."""
        calm = replace(self, fault_rates={})
        return calm.faultless and self.fault_rates.keys() == {"full"}

    @property
    def faultless(self) -> bool:
        return self.prompt and not (
            self.fault_rates or self.ambush or self.power_failure or self.wipe_after_s
        )


def stream(seed: int, purpose: str) -> random.Random:
    """The random source of one part, so that parts do not disturb each other's draws."""
    return random.Random(f"{seed} {purpose}")
