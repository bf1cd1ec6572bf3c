"""Partners: the nodes that a round of gossip goes to.

A few random peers that are up spread news in rounds that grow with log(nodes). Two others keep
groups from forming that know only themselves: sometimes a seed, the same few nodes for all;
and sometimes a peer that is thought down, for after a partition each side thinks so of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvorum.cluster.chance import Chance

SEEDS: Final = 3


def seeds(nodes: Sequence[int], local: int) -> list[int]:
    """The first few of `nodes`, which are the numbers of all in ascending order."""
    return [node for node in nodes[:SEEDS] if node != local]


def partners(
    rng: Chance, available: Sequence[int], unavailable: Sequence[int], fanout: int
) -> list[int]:
    """`fanout` peers that are up; and one that is not, the likelier the more of them there are."""
    chosen = rng.sample(available, min(fanout, len(available)))
    if unavailable and rng.random() < len(unavailable) / (len(available) + 1):
        chosen.append(rng.choice(unavailable))
    return chosen
