"""A settlement: the doubts of one partition, compared with its other owners so that they may end.

    compare   the leaves from the first token in doubt to the last, with one owner after another
    ask       each of them of what it is short (`shortfall.py`): only afterwards, so that what it
              could not list is among it
    end       each doubt that nobody else stands in the way of, and in which nothing was lost
              meanwhile; of the others it is noted whom they wait for

Whatever could not be compared, fetched or stored leaves all of them as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from kvorum.cluster.view import ClusterView
from kvorum.model.merkle import Forest
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.spans import TokenSpan
from kvorum.operations.operations import Operations
from kvorum.repair.exchange import Span
from kvorum.repair.shortfall import Inquiry, Short, Want, wanted
from kvorum.replica.local_replica import LocalReplica
from kvorum.replica.trees import START

_AGAIN_S: Final = 1.0
_WAITING_S: Final = 10.0
"""From one look at what nobody can give to the next."""

Compared = Callable[[int, bool], object]


class Target(NamedTuple):
    """One partition under a placement rule. `span`: compare its keys there, not the trees."""

    rule: PlacementRule
    partition: int
    span: Span | None = None

    @property
    def ends(self) -> tuple[bytes, bytes]:
        return (b"", b"") if self.span is None else (self.span.start, self.span.end)


def leaves(
    view: ClusterView, replica: LocalReplica, partition: int, span: TokenSpan
) -> list[Target]:
    """The leaves with these tokens, of the forests that this node has a part in."""
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


class Settlement:
    """`compare(target, then)` compares with all other owners, `then(repaired, complete)`;
    `done(partition, pause_s)`: after which pause it is worth while to try again.
    """

    __slots__ = (
        "_compare",
        "_done",
        "_numbers",
        "_operations",
        "_partition",
        "_replica",
        "_rules",
        "_targets",
        "_view",
    )

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        partition: int,
        spans: Iterable[TokenSpan],
        compare: Callable[[Target, Compared], object],
        done: Callable[[int, float], object],
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._partition = partition
        self._numbers = {span: replica.unverified.tokens[span].number for span in spans}
        self._compare = compare
        self._done = done
        whole = TokenSpan(
            min(span.first for span in self._numbers), max(span.last for span in self._numbers)
        )
        self._targets = deque(leaves(view, replica, partition, whole))
        self._rules = [target.rule for target in self._targets]

    def start(self) -> None:
        self._go_on(0, True)

    def _go_on(self, _repaired: int, complete: bool) -> None:
        if not complete:
            self._done(self._partition, _AGAIN_S)
        elif self._targets:
            self._compare(self._targets.popleft(), self._go_on)
        else:
            Inquiry(self._operations, self._others(), self._on_inquired).ask()

    def _others(self) -> set[int]:
        owners = {
            node
            for rule in self._rules
            for node in self._view.placement.owners(self._partition, rule)
        }
        return owners - {self._view.local}

    def _on_inquired(self, shorts: Mapping[int, Short] | None) -> None:
        if shorts is None:
            self._done(self._partition, _AGAIN_S)
            return
        waiting = False
        for span, number in self._numbers.items():
            wants = [
                want
                for rule in self._rules
                for want in wanted(self._view, shorts, rule, self._partition, [span])
            ]
            waiting = waiting or bool(wants)
            self._settle(span, number, wants)
        self._done(self._partition, _WAITING_S if waiting else _AGAIN_S)

    def _settle(self, span: TokenSpan, number: int, wants: list[Want]) -> None:
        doubts = self._replica.unverified
        for want in wants:
            doubts.wait(want.span, want.nodes)
        if all(want.span != span for want in wants):
            doubts.end(span, number)
