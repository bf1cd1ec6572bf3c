"""What one seed is about. Everything is drawn from the seed, so the seed alone replays a run.

swarm     most of a run: each parameter by itself                           `swarm.py`
stories   in one run in four, what has to meet for some mistakes to show    `stories.py`
healers   in half of the runs some do not run from the start                `healers.py`
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

from kvorum.sim.healers import Healers
from kvorum.sim.parameters import OPERATIONS, UNSTEADY, Parameters, stream
from kvorum.sim.stories import tell
from kvorum.sim.swarm import UPKEEPS, draw_swarm


def draw(seed: int, nodes: int | None = None, operations: int = OPERATIONS) -> Parameters:
    """The parameters of `seed`; `nodes` overrides the cluster size it would draw."""
    drawn = tell(stream(seed, "stories"), draw_swarm(seed, nodes, operations))
    return _with_healers(stream(seed, "healers"), drawn)


def _with_healers(rng: random.Random, drawn: Parameters) -> Parameters:
    """In half of the runs not all of them run from the start."""
    pairs = frozenset(combinations(range(drawn.nodes), 2))
    some = frozenset(pair for pair in sorted(pairs) if rng.random() < 0.5)
    # What stands in for an owner reaches it as a hint, and in no other way.
    may_do_without_hints = all(s.quorum == "strict" for s in drawn.namespaces.values())
    which = rng.choice(("hints", "read repair", "anti-entropy", "late", "none", *["all"] * 5))
    if which in ("all", "hints" if drawn.faultless else "all"):
        return drawn
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


def _steady(rng: random.Random, drawn: Parameters) -> Parameters:
    """In most runs without faults that hints do not promise to heal."""
    if rng.random() < 0.2:
        return drawn
    rates = {kind: rate for kind, rate in drawn.fault_rates.items() if kind not in UNSTEADY}
    return replace(drawn, fault_rates=rates, ambush=0.0, power_failure=False, wipe_after_s=0.0)
