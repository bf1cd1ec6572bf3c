"""The verification of one partition: its unverified tokens, compared with the other owners.

    compare   the leaves from the first unverified token to the last, with one owner after another
    ask       each of them for which tokens it cannot answer (`shortfall.py`): only afterwards, so
              that this includes what it could not list
    verify    each span of tokens that some other owner can answer for, and in which nothing was
              lost meanwhile; of the others it is noted which nodes they wait for

Where anything could not be compared, fetched or stored, all of them stay unverified.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kvorum.cluster.view import ClusterView
from kvorum.model.spans import TokenSpan
from kvorum.operations.operations import Operations
from kvorum.repair.shortfall import Short, ShortfallSurvey, Want, wanted
from kvorum.repair.target import Compared, Target, leaves
from kvorum.replica.local_replica import LocalReplica

_AGAIN_S: Final = 1.0
_WAITING_S: Final = 10.0
"""Before tokens are compared again for which no owner can answer."""


class Verification:
    """Compares the unverified tokens of one partition, once."""

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
        """`spans`: the unverified tokens, all of `partition`. `compare(target, then)` compares with
        all other owners. `done(partition, pause_s)` is called once; `pause_s`: after how many
        seconds it is worth while to try again.
        """
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
            ShortfallSurvey(self._operations, self._others(), self._on_surveyed).ask()

    def _others(self) -> set[int]:
        owners = {
            node
            for rule in self._rules
            for node in self._view.placement.owners(self._partition, rule)
        }
        return owners - {self._view.local}

    def _on_surveyed(self, shorts: Mapping[int, Short] | None) -> None:
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
            self._verify(span, number, wants)
        self._done(self._partition, _WAITING_S if waiting else _AGAIN_S)

    def _verify(self, span: TokenSpan, number: int, wants: list[Want]) -> None:
        unverified = self._replica.unverified
        for want in wants:
            unverified.wait(want.span, want.nodes)
        if all(want.span != span for want in wants):
            unverified.end(span, number)
