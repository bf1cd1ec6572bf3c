"""Actors: the names under which nodes' writes enter version vectors.

    actor, 64 bits:  the top 44 bits of a node's random id | 20 bits of incarnation

An actor is one incarnation of a node (`record.py` says why), so a node's actors differ in the low
bits only, and a later life has a larger one.
"""

from __future__ import annotations

from typing import Final

INCARNATION_BITS: Final = 20
INCARNATION_MAX: Final = (1 << INCARNATION_BITS) - 1


def is_same_node(actor: int, other: int) -> bool:
    """True if both are incarnations of one node."""
    return actor >> INCARNATION_BITS == other >> INCARNATION_BITS
