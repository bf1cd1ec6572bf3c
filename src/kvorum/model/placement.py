"""Placement: which nodes own a key; a pure function of the topology and of the placement rule.

    key -> token -> partition (its top bits) -> N owners, in preference order

No node stores this or learns it from another. Each works it out from its copy of the
topology (`ring.py`, `domains.py`, `assignment.py`), and all get the same, because what goes
in is integers, sorted lists and IEEE doubles: nothing iterates over a set, and nothing
depends on the order in which the file lists the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum
from typing import NamedTuple

from kvorum.model.assignment import Owners, assign
from kvorum.model.domains import FaultDomains
from kvorum.model.errors import ConfigError
from kvorum.model.keys import TOKEN_BITS
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.ring import Ring
from kvorum.model.topology import Topology


class Balance(NamedTuple):
    """Of each node: the partitions it owns, those it is first owner of, and fair parts of both."""

    owned: tuple[int, ...]
    fair_owned: tuple[float, ...]
    led: tuple[int, ...]
    fair_led: tuple[float, ...]

    @property
    def heaviest_owned(self) -> float:
        """How many times its fair part the heaviest node owns."""
        return max(n / fair for n, fair in zip(self.owned, self.fair_owned, strict=True))


class Placement:
    """Which nodes own which partition of a topology."""

    def __init__(self, topology: Topology) -> None:
        self._bits = topology.partition_bits
        self._shift = 64 - self._bits
        self._partitions = topology.partitions
        self._nodes = topology.nodes
        self._numbers = topology.numbers
        self._ring = Ring(topology)
        # What the namespaces need is worked out now, so that no request waits for it.
        self._assigned: dict[int, list[Owners]] = {}
        for settings in topology.namespaces.values():
            self._assignment(settings.rule)

    def partition(self, token: bytes) -> int:
        """The partition of a token, or of its first 8 bytes."""
        return int.from_bytes(token[:8]) >> self._shift

    def owners(self, partition: int, rule: PlacementRule) -> Owners:
        """The numbers of the nodes that hold `partition`, in preference order."""
        return (self._assigned.get(rule.copies) or self._assignment(rule))[partition]

    def preference(self, partition: int, rule: PlacementRule) -> Owners:
        """The owners of `partition`, then all other nodes in the order of their standing in."""
        owners = self.owners(partition, rule)
        return (*owners, *(node for node in self.walk(partition) if node not in owners))

    def walk(self, partition: int) -> tuple[int, ...]:
        """All nodes in the order a clockwise walk from `partition` meets them."""
        return tuple(self._numbers[place] for place in self._clockwise(partition))

    def balance(self, rule: PlacementRule) -> Balance:
        """How evenly partitions are shared under `rule`."""
        owned, led = dict.fromkeys(self._numbers, 0), dict.fromkeys(self._numbers, 0)
        for owners in self._assignment(rule):
            led[owners[0]] += 1
            for node in owners:
                owned[node] += 1
        fair_owned = self._fair_owned(FaultDomains(self._nodes, rule.copies))
        return Balance(
            tuple(owned.values()), tuple(fair_owned), tuple(led.values()), tuple(self._fair_led())
        )

    def _assignment(self, rule: PlacementRule) -> list[Owners]:
        replicas = rule.copies
        known = self._assigned.get(replicas)
        if known is None:
            nodes = len(self._nodes)
            if not 1 <= replicas <= nodes:
                raise ConfigError(
                    f"{nodes} nodes cannot hold {replicas} replicas: each holds one at most, and "
                    "one is the least. Choose another number, or add nodes."
                )
            domains = FaultDomains(self._nodes, replicas)
            assigned = assign(
                map(self._clockwise, range(self._partitions)),
                domains,
                self._fair_owned(domains),
                self._fair_led(),
            )
            numbers = self._numbers
            known = self._assigned[replicas] = [
                tuple(numbers[place] for place in places) for places in assigned
            ]
        return known

    def _clockwise(self, partition: int) -> Iterator[int]:
        """Places in `Topology.nodes`, as all that goes into `assign`."""
        return self._ring.clockwise(partition << (TOKEN_BITS - self._bits))

    def _fair_owned(self, domains: FaultDomains) -> list[float]:
        return [share * self._partitions for share in domains.fair_shares()]

    def _fair_led(self) -> list[float]:
        total = fsum(spec.weight for spec in self._nodes)
        return [spec.weight / total * self._partitions for spec in self._nodes]
