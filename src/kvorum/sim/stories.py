"""Stories: runs that insist on what swarm testing brings together too rarely.

Some mistakes show only where several things happen to the same key at the same time. Each story
sets the few parameters that make one such meeting likely, and leaves the others as they were
drawn. In one run in four one of them is told.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from kvorum.journal.segment import SegmentLimits
from kvorum.sim.parameters import Parameters

_Story = Callable[[random.Random, Parameters], Parameters]

TOLD: Final = 0.25
"""The share of runs in which one is."""
_LONG_RUN_S: Final = 6.0
"""Time for values to expire while nobody writes them."""


def tell(rng: random.Random, drawn: Parameters) -> Parameters:
    """`drawn` as the story has it that is told this time, if one is."""
    if rng.random() >= TOLD or drawn.crowded:
        return drawn
    return rng.choice(STORIES)(rng, drawn)


def _echoes(rng: random.Random, drawn: Parameters) -> Parameters:
    """Batches come twice before a slow disk has synced the first, and nodes die at an ack."""
    slow = tuple(rng.choice((0.002, 0.02, 0.1)) for _ in range(drawn.nodes))
    conditions = replace(drawn.conditions, latency_s_mean=0.001, duplicate=0.7, echo=2)
    return replace(
        drawn, conditions=conditions, sync_s_mean=slow, ambush=0.2, ambush_all=rng.random() < 0.5
    )


def _stops(rng: random.Random, drawn: Parameters) -> Parameters:
    """Nodes with slow disks are stopped in order just when a write has been acknowledged."""
    slow = tuple(rng.choice((0.001, 0.02, 0.1)) for _ in range(drawn.nodes))
    mix = replace(drawn.mix, update=5.0, put=1.0, get=1.0, stale=0.5, values=0, delete=0.0)
    return replace(
        drawn,
        mix=mix,
        clients=8,
        keys=min(drawn.keys, 2),
        sync_s_mean=slow,
        ambush=0.3,
        ambush_stops=0.8,
        recovery_s_mean=0.05,
    )


def _cut_off(rng: random.Random, drawn: Parameters) -> Parameters:
    """The same values are written again on both sides of a cut that nobody has noticed yet."""
    write = rng.choice((1, 1, drawn.write))
    mix = replace(
        drawn.mix,
        get=2.0,
        put=3.0,
        update=3.0,
        values=2,
        repeating=1.0,
        delete=0.0,
        conditional=0.0,
    )
    return replace(
        _only(drawn, {"partition": 4.0}),
        mix=mix,
        write=write,
        keys=1,
        clients=3,
        pause_s_mean=0.03,
        recovery_s_mean=0.5,
        noticed_s_max=rng.choice((0.2, 1.0)),
    )


def _expires(rng: random.Random, drawn: Parameters) -> Parameters:
    """Whatever is put expires, is not touched, and somebody expects that nothing is there."""
    mix = replace(
        drawn.mix,
        get=1.0,
        put=2.0,
        update=0.0,
        delete=0.0,
        fleeting=1.0,
        touching=0.0,
        conditional=0.7,
        values=0,
    )
    pause_s_mean = max(drawn.pause_s_mean, _LONG_RUN_S * drawn.clients / drawn.operations)
    return replace(
        drawn, mix=mix, keys=6, pause_s_mean=pause_s_mean, clock_skew_ms=0, heartbeat_s=1.0
    )


def _dies_standing_in(rng: random.Random, drawn: Parameters) -> Parameters:
    """As `_stands_in`, and any nodes die at an ack, before their disks have synced it."""
    told = _stands_in(rng, drawn)
    slow = tuple(rng.choice((0.001, 0.02, 0.1)) for _ in range(drawn.nodes))
    return replace(told, ambush=0.3, ambush_all=True, sync_s_mean=slow, recovery_s_mean=0.1)


def _full(rng: random.Random, drawn: Parameters) -> Parameters:
    """Nothing is wrong but that disks are full; what lets go of data goes on."""
    mix = replace(drawn.mix, put=2.0, update=0.0, delete=2.0, conditional=0.0, choosy=0.0, values=0)
    calm = replace(drawn, conditions=drawn.conditions.calm(), others={}, timeout_ms=2000)
    return replace(_only(calm, {"full": 20.0}), mix=mix, recovery_s_mean=0.2)


def _misreads(rng: random.Random, drawn: Parameters) -> Parameters:
    """A disk fails several reads on end, and few of its records are in memory."""
    limits = SegmentLimits(200, 200, 0.01)
    rates = {**drawn.fault_rates, "misread": 60.0 / duration_s(drawn)}
    write = rng.choice((1, drawn.write)) if drawn.keeps_copies else drawn.write
    return replace(
        drawn,
        fault_rates=rates,
        misread_burst=rng.choice((2, 4, 8)),
        segments=limits,
        write=write,
        keys=min(drawn.keys, 2),
    )


def _doubts(rng: random.Random, drawn: Parameters) -> Parameters:
    """Damaged records are replaced by what is older, and nodes restart before they compared."""
    replicas = min(drawn.nodes, rng.choice((3, 5)))
    mix = replace(drawn.mix, put=2.0, update=2.0, choosy=0.0)
    lasts_s = duration_s(drawn)
    rates = {
        "damage": 40.0 / lasts_s,
        rng.choice(("deafen", "partition")): 10.0 / lasts_s,
        rng.choice(("restart", "crash", "break")): 10.0 / lasts_s,
    }
    return replace(
        _only(drawn, rates),
        quorum="strict",
        replicas=replicas,
        write=2,
        read=replicas - 1,
        mix=mix,
        keys=min(drawn.keys, 3),
        segments=SegmentLimits(300, 300, 0.02),
        recovery_s_mean=lasts_s / 20,
        conditions=replace(drawn.conditions, loss=rng.choice((0.0, 0.1, 0.3))),
    )


def _stands_in(rng: random.Random, drawn: Parameters) -> Parameters:
    """Others stand in for owners that are away, again and again."""
    replicas = min(drawn.nodes - 1, rng.choice((1, 2, 3)))
    lasts_s = duration_s(drawn)
    rates = {
        "partition": 15.0 / lasts_s,
        "deafen": 10.0 / lasts_s,
        **({"misread": 30.0 / lasts_s} if rng.random() < 0.3 else {}),
        **({"full": 20.0 / lasts_s} if rng.random() < 0.3 else {}),
    }
    mix = replace(drawn.mix, stale=0.5, update=4.0)
    return replace(
        _only(drawn, rates),
        quorum="sloppy",
        replicas=replicas,
        mix=mix,
        write=rng.randint(1, replicas),
        read=rng.randint(1, replicas),
        recovery_s_mean=lasts_s / rng.choice((5, 10, 20)),
        segments=SegmentLimits(500, 500, 0.05) if "misread" in rates else drawn.segments,
    )


STORIES: Final[tuple[_Story, ...]] = (
    _echoes,
    _stops,
    _cut_off,
    _expires,
    _full,
    _misreads,
    _doubts,
    _stands_in,
    _dies_standing_in,
)


def _only(drawn: Parameters, rates: Mapping[str, float]) -> Parameters:
    """`drawn` with no fault but those that strike at these rates, and those of the network."""
    return replace(drawn, fault_rates=rates, ambush=0.0, power_failure=False, wipe_after_s=0.0)


def duration_s(drawn: Parameters) -> float:
    """About how long clients work."""
    sync_s = sum(drawn.sync_s_mean) / drawn.nodes
    operation_s = drawn.pause_s_mean + 3 * drawn.conditions.latency_s_mean + sync_s
    return drawn.operations / drawn.clients * operation_s
