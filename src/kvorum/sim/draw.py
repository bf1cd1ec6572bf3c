"""What one seed is about. Everything is drawn from the seed, so the seed alone replays a run.

swarm     most of a run: each parameter by itself                           `swarm.py`
stories   in one run in four, what has to meet for some mistakes to show    `stories.py`
sealing   in one run in ten disks are sealed                                `stacks.py`
healers   in four runs of ten some do not run from the start                `healers.py`
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from typing import Final

from msgspec.structs import replace as replace_struct

from kvorum.model.topology import NamespaceSettings
from kvorum.sim.healers import Healers
from kvorum.sim.parameters import LEAVE, OPERATIONS, ROTATE, UNSTEADY, Parameters, stream
from kvorum.sim.stories import duration_s, tell
from kvorum.sim.swarm import UPKEEPS, draw_swarm

_SPARSE_KEYS: Final = 12


def draw(seed: int, nodes: int | None = None, operations: int = OPERATIONS) -> Parameters:
    """The parameters of `seed`; `nodes` overrides the cluster size it would draw."""
    drawn = tell(stream(seed, "stories"), draw_swarm(seed, nodes, operations))
    drawn = _sealed(stream(seed, "sealing"), drawn)
    drawn = _with_departures(stream(seed, "departures"), drawn)
    return _with_healers(stream(seed, "healers"), drawn)


def _sealed(rng: random.Random, drawn: Parameters) -> Parameters:
    """One disk in ten is sealed, in most of these runs with keys that change."""
    if rng.random() >= 0.1:
        return drawn
    others = {name: _open_or_not(rng, settings) for name, settings in drawn.others.items()}
    rates = {**drawn.fault_rates, ROTATE: rng.choice((0.0, 2.0, 10.0)) / duration_s(drawn)}
    if drawn.faultless or not rates[ROTATE]:
        rates = dict(drawn.fault_rates)
    return replace(drawn, sealed=True, others=others, fault_rates=rates)


def _with_departures(rng: random.Random, drawn: Parameters) -> Parameters:
    """In some runs nodes are stopped as planned, and started again."""
    if drawn.faultless or rng.random() < 0.7:
        return drawn
    rates = {**drawn.fault_rates, LEAVE: rng.choice((2.0, 10.0)) / duration_s(drawn)}
    return replace(drawn, fault_rates=rates)


def _open_or_not(rng: random.Random, settings: NamespaceSettings) -> NamespaceSettings:
    return replace_struct(settings, encryption="off") if rng.random() < 0.3 else settings


def _with_healers(rng: random.Random, drawn: Parameters) -> Parameters:
    """In some runs not all of them run from the start."""
    pairs = frozenset(combinations(range(drawn.nodes), 2))
    some = frozenset(pair for pair in sorted(pairs) if rng.random() < 0.5)
    # What stands in for an owner reaches it as a hint, and in no other way.
    may_do_without_hints = all(s.quorum == "strict" for s in drawn.namespaces.values())
    which = rng.choice(("hints", "read repair", "anti-entropy", "late", "none", *["all"] * 6))
    if which in ("all", "hints" if drawn.faultless else "all"):
        return drawn
    drawn = _sparse(rng, drawn)
    if which == "hints":
        return _steady(rng, replace(drawn, healers=Healers(read_repair=False, uncompared=pairs)))
    healers = Healers(
        hints=which == "late" or not may_do_without_hints,
        read_repair=which in ("late", "read repair"),
        uncompared=frozenset() if which == "anti-entropy" else rng.choice((pairs, pairs, some)),
    )
    # Where it is the only one, anti-entropy has to come round before the end.
    upkeep = rng.choice(UPKEEPS[1:])._replace(sweep_s=drawn.upkeep.sweep_s)
    return replace(drawn, healers=healers, upkeep=upkeep)


def _sparse(rng: random.Random, drawn: Parameters) -> Parameters:
    """In some of these runs most writes of a key are the last: what misses it is not made up for by
    the next one. In half of those messages are lost.
    """
    if drawn.crowded or drawn.faultless or rng.random() < 0.6:
        return drawn
    delete = max(drawn.mix.delete, rng.choice((0.0, 0.5, 1.0)))
    conditions = drawn.conditions
    if rng.random() < 0.5:
        conditions = replace(conditions, loss=rng.choice((0.02, 0.1)))
    return replace(
        drawn, keys=_SPARSE_KEYS, mix=replace(drawn.mix, delete=delete), conditions=conditions
    )


def _steady(rng: random.Random, drawn: Parameters) -> Parameters:
    """In most runs without faults that hints do not promise to heal."""
    if rng.random() < 0.2:
        return drawn
    rates = {kind: rate for kind, rate in drawn.fault_rates.items() if kind not in UNSTEADY}
    return replace(
        drawn,
        fault_rates=rates,
        ambush=0.0,
        power_failure=False,
        wipe_after_s=0.0,
        rolling_restart=rng.random() < 0.4,
    )
