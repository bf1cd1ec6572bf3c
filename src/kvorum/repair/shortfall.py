"""Shortfalls: of which keys a replica cannot say what it once held.

    unread      something is stored there that does not open, so it is not listed either
    unverified  it has lost what it had there, and has not compared with all others since

A replica that has lost records (`recovery.py`, `unverified_tokens.py`) takes from every other owner
all that it shows, also from one that has lost some itself. Let K be a write that W owners
acknowledged.

    one of them still has it    every owner that has lost it gets it there, before it speaks for
                                the key; those that wait do so for that one, not for each other
    all of them have lost it    nobody can bring it back, and nobody waits for it; but where one of
                                them still has its damaged bytes, an owner that answered "absent"
                                would deny what is known to have been there

So one that has compared with all others speaks for a key, unless all others are short of it and
at least one of them has something there that does not open. Then it waits, with every
other owner that is short of that key, until

    that key is written or deleted           where it is damaged, this takes the damage's place
    or the damaged node is given an empty disk (`kvorum rebuild`)    it has nothing unread then

and nobody who waits has anything unread in the eyes of the others, so no circle of them waits.
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
    """Of which tokens one node is short."""

    unread: Spans
    unverified: Spans


class Want(NamedTuple):
    """Tokens that nobody can answer for, while each of `nodes` has something unread there."""

    span: TokenSpan
    nodes: tuple[int, ...]


def on_survey(replica: LocalReplica, operations: Operations, node: int, message: Survey) -> None:
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
    """What this owner has to wait for, of the tokens `within` that lie in a partition."""
    others = [n for n in view.placement.owners(partition, rule) if n != view.local]
    spans = intersection(within, [of_partition(partition, view.topology.partition_bits)])
    spans = intersection(spans, union(span for node in others for span in shorts[node].unread))
    for node in others:
        spans = intersection(spans, union(shorts[node].unread + shorts[node].unverified))
    return [
        Want(span, tuple(n for n in others if intersection([span], shorts[n].unread)))
        for span in spans
    ]


class Inquiry:
    """Asks several nodes what they are short of; `then` gets None unless all of them have said."""

    __slots__ = ("_nodes", "_operations", "_shorts", "_then", "_waiting")

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
