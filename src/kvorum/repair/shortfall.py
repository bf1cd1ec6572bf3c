"""Shortfalls: the tokens of which a replica cannot say what it once stored.

    unread      a record is stored there that is damaged, so it is not listed either
    unverified  the replica has lost what it had there, and has not compared with all others since

A replica that has lost records (`recovery.py`, `replica/unverified_tokens.py`) takes from every
other owner all that it lists, also from one that has lost some itself. Let K be a write that W
owners acknowledged.

    one of them still has it    every owner that has lost it gets it there, before it answers for
    the
                                key; those that wait do so for that one, not for each other
    all of them have lost it    nobody can bring it back, and nobody waits for it; but where one of
                                them still has its damaged bytes, an owner that answered "absent"
                                would deny what is known to have been there

So a replica that has compared with all others answers for a key, unless all others are short of it
and at least one of them has a damaged record there. Then it waits, with every other owner that is
short of that key, until

    that key is written or deleted           where it is damaged, this replaces the damaged record
    or the damaged node is given an empty disk (`kvorum rebuild`)    nothing is unread there then

and no replica that waits has anything unread in the eyes of the others, so no circle of them waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import StorageError
from kvorum.model.placement_rule import PlacementRule
from kvorum.model.spans import (
    ALL_TOKENS,
    RECORDS,
    TokenSpan,
    check_spans,
    intersection,
    of_partition,
    of_range,
    union,
)
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.replica.local_replica import LocalReplica
from kvorum.wire.messages import Message, Refused, Shortfall, Survey

Spans = list[TokenSpan]


class Short(NamedTuple):
    """The tokens for which one node cannot answer."""

    unread: Spans
    unverified: Spans


class Want(NamedTuple):
    """Tokens for which no owner can answer, while each of `nodes` has damaged records there."""

    span: TokenSpan
    nodes: tuple[int, ...]


def on_survey(replica: LocalReplica, operations: Operations, node: int, message: Survey) -> None:
    """Tell `node` for which tokens this replica cannot answer."""
    try:
        unread = [of_range(*keys) for keys in replica.store.unreadable(*RECORDS)]
    except StorageError as error:
        operations.transport.send(node, Refused(message.op, error.code, error.message))
        return
    unverified = [ALL_TOKENS] if replica.recovering else list(replica.unverified.tokens)
    operations.transport.send(node, Shortfall(message.op, list(unread), list(unverified)))


def wanted(
    view: ClusterView,
    shorts: Mapping[int, Short],
    rule: PlacementRule,
    partition: int,
    within: Iterable[TokenSpan],
) -> list[Want]:
    """The tokens of a partition, among those `within`, that this owner cannot verify although it
    has compared them with all others. `shorts`: what each other owner is short of.
    """
    others = [n for n in view.placement.owners(partition, rule) if n != view.local]
    spans = intersection(within, [of_partition(partition, view.topology.partition_bits)])
    spans = intersection(spans, union(span for node in others for span in shorts[node].unread))
    for node in others:
        spans = intersection(spans, union(shorts[node].unread + shorts[node].unverified))
    return [
        Want(span, tuple(n for n in others if intersection([span], shorts[n].unread)))
        for span in spans
    ]


class ShortfallSurvey:
    """Asks nodes for which tokens they cannot answer; `then(None)` unless all have said."""

    def __init__(
        self,
        operations: Operations,
        nodes: Collection[int],
        then: Callable[[Mapping[int, Short] | None], object],
    ) -> None:
        self._operations = operations
        self._nodes = nodes
        self._then = then
        self._waiting = len(nodes)
        self._shorts: dict[int, Short] = {}

    def ask(self) -> None:
        if not self._nodes:
            self._operations.runtime.call_soon(self._then, self._shorts)
        for node in self._nodes:
            question = Question(self._operations, node, partial(self._on_reply, node))
            question.ask(Survey(question.op))

    def _on_reply(self, node: int, reply: Message | None) -> None:
        try:
            if isinstance(reply, Shortfall):
                self._shorts[node] = Short(check_spans(reply.unread), check_spans(reply.unverified))
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._then(self._shorts if len(self._shorts) == len(self._nodes) else None)
