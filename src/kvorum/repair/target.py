"""A target: what is compared between the owners of one partition."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kvorum.cluster.view import ClusterView
from kvorum.model.merkle import Forest
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.spans import TokenSpan
from kvorum.repair.exchange import Span
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.trees import START

Compared = Callable[[int, bool], object]
"""Called as `compared(repaired, complete)`: how many keys differed and are repaired, and whether
every owner was compared with.
"""


class Target(NamedTuple):
    """A partition under a placement rule. `span`: its keys to compare; None: by its hash tree."""

    rule: PlacementRule
    partition: int
    span: Span | None = None

    @property
    def ends(self) -> tuple[bytes, bytes]:
        """The span as it is sent in a message; two empty keys for none."""
        return (b"", b"") if self.span is None else (self.span.start, self.span.end)


def leaves(
    view: ClusterView, replica: LocalReplica, partition: int, span: TokenSpan
) -> list[Target]:
    """The leaves that hold the tokens of `span`: a target for each hash tree of the partition."""
    return [
        Target(rule, partition, _leaves_of(forest, span))
        for rule in view.rules
        if view.local in view.placement.owners(partition, rule)
        and (forest := replica.trees.forest(rule)) is not None
    ]


def _leaves_of(forest: Forest, span: TokenSpan) -> Span:
    start, _ = forest.leaf_range(START + span.first)
    _, end = forest.leaf_range(START + span.last)
    return Span(start, end)
