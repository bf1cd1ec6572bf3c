"""Swarm testing: what a seed's cluster is like, what its clients do and what breaks.

Each fault is switched on for about half of the seeds and its rate spans two orders of
magnitude: a run in which everything happens all the time reaches fewer states than many
runs that each insist on something else (A. Groce et al., "Swarm Testing", 2012). One seed in
ten has no faults at all, which is how the checks of an undisturbed cluster get their runs.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from msgspec.structs import replace as replace_struct

from kvorum.journal.segment import SegmentLimits
from kvorum.model.topology import MEMORY_BYTES_MIN, NamespaceSettings, QuorumKind
from kvorum.repair.upkeep import DEFAULTS, Upkeep
from kvorum.replication.change import SIBLING_BOUNDS, SiblingBounds
from kvorum.sim.network import Conditions
from kvorum.sim.parameters import (
    CLOCK_SKEW_MS_MAX,
    DISK_FAULT_KINDS,
    FAULT_KINDS,
    NODES_MAX,
    NODES_MIN,
    OPERATIONS,
    TTL_S_MAX,
    WRONG_CLOCK,
    Mix,
    Parameters,
    stream,
)

UPKEEPS: Final = (
    DEFAULTS,
    Upkeep(interval_s=0.5, grace_s=4.0),
    Upkeep(interval_s=2.0, grace_s=4.0),
)
"""The grace is longer than any message is under way here, and short enough to be over in a run."""
_SWEEP_S: Final = 1.0
_FLEETING_RUN_S: Final = 4.0
"""A run in which values expire lasts so long at least, so that some do while clients work."""
_REPLICAS: Final = {"strict": (1, 2, 3, 3, 3, 3, 4, 5), "sloppy": (1, 1, 1, 2, 2, 2, 3, 3)}


def draw_swarm(seed: int, nodes: int | None = None, operations: int = OPERATIONS) -> Parameters:
    """The parameters of `seed`, all healers at work; `nodes` overrides the size it would draw."""
    rng = stream(seed, "parameters")
    drawn_nodes = rng.randint(NODES_MIN, NODES_MAX)
    size = nodes or drawn_nodes
    quorum: QuorumKind = stream(seed, "quorum").choice(("strict", "strict", "sloppy"))
    # With few owners it happens more often that others stand in for all of them.
    replicas = min(size, rng.choice(_REPLICAS[quorum]))
    read, write = _quorums(rng, replicas)
    faultless = rng.random() < 0.1
    clients = rng.randint(1, 8)
    pause_s_mean = _spread(rng, 0.000_5, 0.05)
    sync_s_mean = _disks(rng, size)
    conditions = _conditions(rng, faultless)
    mortal = stream(seed, "expiry")
    fleeting = _spread(mortal, 0.1, 1.0) if mortal.random() < 0.2 else 0.0
    if fleeting:
        pause_s_mean = max(pause_s_mean, _FLEETING_RUN_S * clients / operations)
    operation_s = pause_s_mean + 3 * conditions.latency_s_mean + sum(sync_s_mean) / size
    duration_s = operations / clients * operation_s
    wiping = stream(seed, "wipe")
    disk_faults = dict.fromkeys(DISK_FAULT_KINDS, 0.0)
    if stream(seed, "sick disks").random() < 0.5:
        disk_faults = _strikes(stream(seed, "disk faults"), DISK_FAULT_KINDS)
    mix = _mix(rng)
    if fleeting:
        mix = _careful(stream(seed, "care"), mix, fleeting)
    mix = _repetitive(stream(seed, "values"), mix)
    wipe_after_s = 0.0
    if not faultless and min(write, replicas) >= 2 and wiping.random() < 0.3:
        wipe_after_s = duration_s * wiping.random()
    # A replica that lost a record asks the other owners, who may not be those that acknowledged.
    if quorum == "sloppy" or min(write, replicas) - bool(wipe_after_s) < 2:
        disk_faults["damage"] = 0.0
    if not faultless and (wipe_after_s or disk_faults["damage"]):
        mix = replace(mix, choosy=0.0)
    keys = rng.randint(1, 6)
    timeout_ms = 2000 if faultless else rng.choice((100, 300, 1000, 2000))
    siblings = SIBLING_BOUNDS
    crowding = stream(seed, "crowd")
    if crowding.random() < 0.08:
        versions = crowding.choice((5, 20, SIBLING_BOUNDS.versions))
        siblings = SiblingBounds(versions, crowding.choice((4096, 8192, 16_384)))
        clients, keys = crowding.randint(8, 40), crowding.randint(1, 2)
        mix = _crowded(crowding, mix, bool(wipe_after_s or disk_faults["damage"]))
    return Parameters(
        seed=seed,
        nodes=size,
        replicas=replicas,
        read=read,
        write=write,
        operations=operations,
        clients=clients,
        keys=keys,
        timeout_ms=timeout_ms,
        pause_s_mean=pause_s_mean,
        quorum=quorum,
        mix=mix,
        sync_s_mean=sync_s_mean,
        clock_skew_ms=rng.choice((0, 10, CLOCK_SKEW_MS_MAX)),
        conditions=conditions,
        fault_rates={}
        if faultless
        else _rates(
            _strikes(rng, FAULT_KINDS) | disk_faults | _wrong_clock(seed, fleeting), duration_s
        ),
        recovery_s_mean=duration_s * _spread(rng, 0.002, 0.2),
        down_max=rng.randint(1, size),
        ambush=0.0 if faultless else _maybe(rng, 0.01, 0.2),
        power_failure=not faultless and rng.random() < 0.5,
        heartbeat_s=stream(seed, "heartbeat").choice((0.1, 0.5, 1.0, 1.0)),
        upkeep=stream(seed, "upkeep").choice(UPKEEPS)._replace(sweep_s=_SWEEP_S),
        wipe_after_s=wipe_after_s,
        others=_others(stream(seed, "namespaces"), size, timeout_ms, bool(wipe_after_s)),
        siblings=siblings,
        segments=_segments(stream(seed, "segments"), duration_s),
    )


def _others(
    rng: random.Random, nodes: int, timeout_ms: int, wiped: bool
) -> dict[str, NamespaceSettings]:
    """In one run in four there are namespaces beside the default one, with the same keys."""
    if rng.random() >= 0.25:
        return {}
    names = rng.sample(("left", "right", "fleeting", "sessions"), rng.randint(1, 3))
    return {name: _settings(rng, name, nodes, timeout_ms, wiped) for name in names}


def _settings(
    rng: random.Random, name: str, nodes: int, timeout_ms: int, wiped: bool
) -> NamespaceSettings:
    """Where a node loses its disk, a write has to be stored on another as well."""
    replicas = min(nodes, rng.choice((2, 3, 3, 4, 5) if wiped else (1, 2, 3, 3, 4, 5)))
    write = rng.randint(1 + wiped, replicas)
    settings = NamespaceSettings(
        replicas=replicas,
        read=rng.choice((replicas + 1 - write, rng.randint(1, replicas))),
        write=write,
        timeout_ms=timeout_ms,
        quorum=rng.choice(("strict", "strict", "sloppy")),
    )
    if name == "sessions":
        return replace_struct(settings, durability="none", max_memory=MEMORY_BYTES_MIN)
    ttl_s = rng.randint(1, TTL_S_MAX) if name == "fleeting" else 0
    return replace_struct(settings, ttl=ttl_s)


def _spread(rng: random.Random, low: float, high: float) -> float:
    """Anything from `low` to `high`, each order of magnitude as likely as the next."""
    return float(low * (high / low) ** rng.random())


def _maybe(rng: random.Random, low: float, high: float) -> float:
    value = _spread(rng, low, high)
    return value if rng.random() < 0.5 else 0.0


def _quorums(rng: random.Random, replicas: int) -> tuple[int, int]:
    """Mostly such that they overlap; sometimes anything."""
    if rng.random() < 0.5:
        return replicas // 2 + 1, replicas // 2 + 1
    read = rng.randint(1, replicas)
    if rng.random() < 0.6:
        return read, replicas + 1 - read
    return read, rng.randint(1, replicas)


def _mix(rng: random.Random) -> Mix:
    return Mix(
        get=_spread(rng, 1, 5),
        put=rng.choice((0.0, 0.1, 0.5, 5.0)),
        update=rng.choice((0.0, 3.0, 3.0, 5.0)),
        delete=rng.choice((0.0, 0.0, 0.1, 1.0)),
        conditional=_maybe(rng, 0.02, 0.3),
        stale=_maybe(rng, 0.02, 0.5),
        choosy=_maybe(rng, 0.02, 0.5),
    )


def _careful(rng: random.Random, mix: Mix, fleeting: float) -> Mix:
    """Where values expire there is more to expect, and something to touch."""
    conditional = max(mix.conditional, _spread(rng, 0.1, 0.5))
    touching = _spread(rng, 0.03, 0.3)
    return replace(mix, fleeting=fleeting, touching=touching, conditional=conditional)


def _repetitive(rng: random.Random, mix: Mix) -> Mix:
    """In half of the runs few values are written again and again; else checkers judge sharper."""
    if rng.random() < 0.5:
        return mix
    return replace(
        mix,
        values=rng.choice((1, 2, 2, 3, 5)),
        repeating=rng.choice((0.3, 0.8, 1.0)),
        delete=max(mix.delete, rng.choice((0.0, 0.3, 1.0))),
    )


def _crowded(rng: random.Random, mix: Mix, needs_quorum: bool) -> Mix:
    """Many clients write large values, mostly on versions that others have replaced, and often
    on fewer replicas than the namespace wants, unless one of those may lose what it has.
    """
    return replace(
        mix,
        get=1.0,
        update=5.0,
        put=min(mix.put, 0.1),
        stale=0.9,
        large=rng.choice((0.0, 0.1, 0.5, 1.0)),
        choosy=0.0 if needs_quorum else rng.choice((0.0, 0.5)),
    )


def _conditions(rng: random.Random, faultless: bool) -> Conditions:
    """Half of the networks lose batches only where a link breaks, and keep their order."""
    drawn = Conditions(
        latency_s_mean=_spread(rng, 0.000_2, 0.005),
        loss=_maybe(rng, 0.001, 0.1),
        delay=_maybe(rng, 0.001, 0.1),
        reorder=_maybe(rng, 0.01, 0.5),
        duplicate=_maybe(rng, 0.001, 0.5),
    )
    return drawn.calm() if faultless or rng.random() < 0.5 else drawn


def _disks(rng: random.Random, nodes: int) -> tuple[float, ...]:
    """Often as fast as each other, sometimes not at all."""
    mean, spread = _spread(rng, 0.000_3, 0.01), rng.choice((1.0, 1.0, 10.0))
    return tuple(mean * _spread(rng, 1 / spread, spread) for _ in range(nodes))


def _segments(rng: random.Random, duration_s: float) -> SegmentLimits:
    """Filed after a few writes or a few hundred, and some time before the run ends."""
    size = int(_spread(rng, 500, 50_000))
    return SegmentLimits(size, size, duration_s * _spread(rng, 0.01, 0.5))


def _strikes(rng: random.Random, kinds: tuple[str, ...]) -> dict[str, float]:
    """How often each kind strikes while the clients work: not at all, or once to fifty times."""
    return {kind: _maybe(rng, 1.0, 50.0) for kind in kinds}


def _wrong_clock(seed: int, fleeting: float) -> dict[str, float]:
    rng = stream(seed, "wrong clock strikes")
    return {WRONG_CLOCK: _maybe(rng, 1.0, 10.0) if fleeting else 0.0}


def _rates(strikes: Mapping[str, float], duration_s: float) -> dict[str, float]:
    return {kind: count / duration_s for kind, count in strikes.items() if count}
