"""Fault domains: where the copies of a partition may go, and what share each node gets.

Nodes sit in hosts, hosts in racks, racks in data centers (dcs). The next copy goes to

    a host with the fewest copies so far; of those, one in a rack with the fewest;
    of those, one in a dc with the fewest

so two copies never share a host while another host is free, nor a rack while another rack
is free, and dcs fill evenly as far as that allows. Putting hosts first passes over no dc:
a dc without a copy has a rack without one, and that a host without one.

"The fewest first" fills domains like vessels with water: each holds the water *level* or
one more, unless it is full. So the counts that host, rack and dc must show before the k-th
copy is placed depend on k alone, not on where the copies before it went. And of N copies
each domain holds between two bounds, `low` and `high`; whatever keeps to them is as well
spread as can be.

Within those bounds a node's fair share is proportional to its weight. It is water again:
each unit of weight rises to one level, and where a domain's bound cuts in, the inside of
that domain finds a level of its own (max-min fairness). A node that weighs half the cluster
still holds each partition once at most; one of two dcs must hold a copy of everything,
however light it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Final

from kvorum.model.topology import WEIGHT_MIN, NodeSpec

# Floats are added with `fsum`: what `sum` makes of them differs between Python versions, and
# all nodes must come to the same shares.

_HALVINGS: Final = 64


@dataclass(eq=False)
class Domain:
    """A node or a domain. Of the copies of a partition it holds `low` to `high`."""

    weight: float
    parts: list[Domain]
    low: int = field(default=0, init=False)
    high: int = field(default=1, init=False)

    def share_at(self, level: float) -> float:
        """The copies it takes when each unit of weight takes `level`."""
        if self.parts:
            amount = fsum(part.share_at(level) for part in self.parts)
        else:
            amount = level * self.weight
        return min(max(amount, self.low), self.high)


@dataclass(eq=False)
class Tier:
    """All hosts, all racks or all dcs: which of them each node is in, and what each may hold."""

    of_node: list[int]
    domains: list[Domain]

    def count(self, domain: int, nodes: list[int]) -> int:
        """How many of `nodes` are in `domain`."""
        return sum(self.of_node[node] == domain for node in nodes)


class FaultDomains:
    """The rules for `copies` copies of each partition on nodes with these labels."""

    def __init__(self, specs: Sequence[NodeSpec], copies: int) -> None:
        self.copies = copies
        self._nodes = [Domain(spec.weight, []) for spec in specs]
        self._tiers = _tiers(specs, self._nodes)
        # The last of these leaves the bounds for all copies behind.
        self._steps = [[_fill(tier, k) for tier in self._tiers] for k in range(1, copies + 1)]

    def may_add(self, nodes: list[int], node: int) -> bool:
        """True if the copy after those on `nodes` may go to `node`."""
        if node in nodes:
            return False
        return all(
            tier.count(tier.of_node[node], nodes) == level
            for tier, level in zip(self._tiers, self._steps[len(nodes)], strict=True)
        )

    def may_replace(self, nodes: list[int], old: int, new: int) -> bool:
        """True if all copies, on `nodes`, stay well spread when `new` takes over from `old`."""
        if new in nodes:
            return False
        for tier in self._tiers:
            loser, gainer = tier.of_node[old], tier.of_node[new]
            if loser != gainer and (
                tier.count(loser, nodes) <= tier.domains[loser].low
                or tier.count(gainer, nodes) >= tier.domains[gainer].high
            ):
                return False
        return True

    def fair_shares(self) -> list[float]:
        """For each node the part of all partitions that it should own; `copies` in sum."""
        shares: dict[Domain, float] = {}
        _pour(self.copies, self._tiers[-1].domains, shares)
        return [shares[node] for node in self._nodes]


def _tiers(specs: Sequence[NodeSpec], nodes: list[Domain]) -> list[Tier]:
    hosts = _grouped([(spec.dc, spec.rack, spec.host) for spec in specs], nodes)
    racks = _grouped([(spec.dc, spec.rack) for spec in specs], _by_node(hosts))
    dcs = _grouped([(spec.dc,) for spec in specs], _by_node(racks))
    return [hosts, racks, dcs]


def _by_node(tier: Tier) -> list[Domain]:
    return [tier.domains[domain] for domain in tier.of_node]


def _grouped(names: Sequence[Hashable], below: list[Domain]) -> Tier:
    """The tier in which node i, inside the domain `below[i]`, is in the domain `names[i]`."""
    parts: dict[Hashable, dict[Domain, None]] = defaultdict(dict)
    for name, domain in zip(names, below, strict=True):
        parts[name][domain] = None
    numbers = {name: number for number, name in enumerate(parts)}
    domains = [Domain(0, list(inside)) for inside in parts.values()]
    return Tier([numbers[name] for name in names], domains)


def _fill(tier: Tier, copies: int) -> int:
    """Bound the tier's domains for `copies`, given the bounds below; returns the level."""
    floors = [sum(part.low for part in domain.parts) for domain in tier.domains]
    brims = [sum(part.high for part in domain.parts) for domain in tier.domains]

    def filled_to(level: int) -> list[int]:
        return [min(max(level, floor), brim) for floor, brim in zip(floors, brims, strict=True)]

    level = 0
    while sum(filled_to(level + 1)) < copies:
        level += 1
    bounds = zip(tier.domains, filled_to(level), filled_to(level + 1), strict=True)
    for domain, low, high in bounds:
        domain.low, domain.high = low, high
    return level


def _pour(amount: float, domains: list[Domain], shares: dict[Domain, float]) -> None:
    """Divide `amount` among `domains` in proportion to weight, within all their bounds."""
    level = _level_of(amount, lambda at: fsum(domain.share_at(at) for domain in domains))
    for domain in domains:
        share = domain.share_at(level)
        if domain.parts:
            _pour(share, domain.parts, shares)
        else:
            shares[domain] = share


def _level_of(amount: float, taken_at: Callable[[float], float]) -> float:
    # At the upper end the lightest node there can be is full, so every domain is.
    low, high = 0.0, 1 / WEIGHT_MIN
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if taken_at(middle) < amount:
            low = middle
        else:
            high = middle
    return high
