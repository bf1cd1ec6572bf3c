"""Fault domains: where the copies of a partition may go, and what share each node gets.

Nodes sit in hosts, hosts in racks, racks in data centers (dcs). The next copy goes to

    a host with the fewest copies so far; of those, one in a rack with the fewest;
    of those, one in a dc with the fewest

so two copies never share a host while another host is free, nor a rack while another rack
is free, and dcs fill evenly as far as that allows. Putting hosts first passes over no dc:
a dc without a copy has a rack without one, and that a host without one.

"The fewest first" fills domains like vessels with water: each holds the water *level* or
one more, unless it is full. So the counts that host, rack and dc must show before the k-th
copy is placed depend on k alone, not on where the copies before it went (`steps`). And the
copies that a domain gets of a partition lie between two bounds, `low` and `high`.

Within those bounds a node's fair share is proportional to its weight. It is water again:
each unit of weight rises to one level, and where a domain's bound cuts in, the inside of
that domain finds a level of its own (max-min fairness). A node that weighs half the cluster
still holds each partition once at most; one of two dcs must hold a copy of everything,
however light it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, NamedTuple

from kvorum.model.topology import WEIGHT_MIN, NodeSpec

_HALVINGS: Final = 64


class Step(NamedTuple):
    """The copies that host, rack and dc must hold before the next one is placed there."""

    host: int
    rack: int
    dc: int


class Vessel:
    """A node or a domain. Of `copies` of a partition it takes `low` to `high`."""

    __slots__ = ("high", "low", "parts", "weight")

    def __init__(self, weight: float, parts: list[Vessel]) -> None:
        self.weight = weight
        self.parts = parts
        self.low = 0
        self.high = 1

    def share_at(self, level: float) -> float:
        """The copies it takes when each unit of weight takes `level`."""
        if self.parts:
            amount = sum(part.share_at(level) for part in self.parts)
        else:
            amount = level * self.weight
        return min(max(amount, self.low), self.high)


class FaultDomains:
    """`host`, `rack` and `dc` give the number of the domain that a node, by index, is in."""

    __slots__ = ("_nodes", "_tiers", "dc", "host", "rack")

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        self.host = _numbered([(spec.dc, spec.rack, spec.host) for spec in specs])
        self.rack = _numbered([(spec.dc, spec.rack) for spec in specs])
        self.dc = _numbered([(spec.dc,) for spec in specs])
        self._nodes = [Vessel(spec.weight, []) for spec in specs]
        self._tiers = _tiers(self._nodes, [self.host, self.rack, self.dc])

    def steps(self, copies: int) -> list[Step]:
        """For each of `copies` copies of a partition, where it may go."""
        return [Step(*self._fill(placed)) for placed in range(1, copies + 1)]

    def fair_shares(self, copies: int) -> list[float]:
        """For each node the part of all partitions that it should own; `copies` in sum."""
        self._fill(copies)
        shares: dict[Vessel, float] = {}
        _pour(copies, self._tiers[-1], shares)
        return [shares[node] for node in self._nodes]

    def _fill(self, copies: int) -> list[int]:
        """Set all bounds for `copies` copies; returns the levels of hosts, racks and dcs."""
        return [_bound(tier, copies) for tier in self._tiers]


def _numbered(domains: list[tuple[str, ...]]) -> list[int]:
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(domain, len(numbers)) for domain in domains]


def _tiers(nodes: list[Vessel], groupings: list[list[int]]) -> list[list[Vessel]]:
    """The hosts, racks and dcs over `nodes`, each made of vessels of the tier below."""
    tiers: list[list[Vessel]] = []
    below, inside = nodes, list(range(len(nodes)))
    for grouping in groupings:
        parts: dict[int, dict[int, Vessel]] = defaultdict(dict)
        for node, domain in enumerate(grouping):
            parts[domain][inside[node]] = below[inside[node]]
        below = [Vessel(0, list(parts[domain].values())) for domain in range(len(parts))]
        inside = grouping
        tiers.append(below)
    return tiers


def _bound(tier: list[Vessel], copies: int) -> int:
    """Fill a tier evenly with `copies`, within the bounds of its parts; returns the level."""
    floors = [sum(part.low for part in vessel.parts) for vessel in tier]
    brims = [sum(part.high for part in vessel.parts) for vessel in tier]

    def filled_to(level: int) -> list[int]:
        return [min(max(level, floor), brim) for floor, brim in zip(floors, brims, strict=True)]

    level = 0
    while sum(filled_to(level + 1)) < copies:
        level += 1
    lows, highs = filled_to(level), filled_to(level + 1)
    for vessel, low, high in zip(tier, lows, highs, strict=True):
        vessel.low, vessel.high = low, high
    return level


def _pour(amount: float, vessels: list[Vessel], shares: dict[Vessel, float]) -> None:
    """Divide `amount` among `vessels` in proportion to weight, within all their bounds."""
    level = _level_of(amount, lambda at: sum(vessel.share_at(at) for vessel in vessels))
    for vessel in vessels:
        share = vessel.share_at(level)
        if vessel.parts:
            _pour(share, vessel.parts, shares)
        else:
            shares[vessel] = share


def _level_of(amount: float, taken_at: Callable[[float], float]) -> float:
    # At the upper end the lightest node there can be is full, so every vessel is.
    low, high = 0.0, 1 / WEIGHT_MIN
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if taken_at(middle) < amount:
            low = middle
        else:
            high = middle
    return high
