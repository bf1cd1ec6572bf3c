"""Shortfalls: of which keys a replica cannot say what it once held.

    unread      something is stored there that does not open, so it is not listed either
    unverified  it has lost what it had there, and has not compared with all others since

A replica that has lost records (`recovery.py`, `doubts.py`) takes from every other owner all that
it shows, also from one that has lost some itself. Let K be a write that W owners acknowledged.

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

from kvorum.model.spans import (
    ALL_TOKENS,
    TokenSpan,
    check_spans,
    intersection,
    of_partition,
    union,
)
from kvorum.replication.question import Question
from kvorum.replication.site import Site
from kvorum.wire.messages import Message, Shortfall, Survey

Spans = list[TokenSpan]


class Short(NamedTuple):
    """Of which tokens one node is short."""

    unread: Spans
    unverified: Spans


class Want(NamedTuple):
    """Tokens that nobody can answer for, while each of `nodes` has something unread there."""

    span: TokenSpan
    nodes: tuple[int, ...]


def own_short(site: Site) -> Short:
    unverified = [ALL_TOKENS] if site.recovering else list(site.doubts.tokens)
    return Short(site.store.unread(), unverified)


def on_survey(site: Site, node: int, message: Survey) -> None:
    short = own_short(site)
    site.transport.send(node, Shortfall(message.op, list(short.unread), list(short.unverified)))


def wanted(
    site: Site,
    shorts: Mapping[int, Short],
    replicas: int,
    partition: int,
    within: Iterable[TokenSpan],
) -> list[Want]:
    """What this owner has to wait for, of the tokens `within` that lie in a partition."""
    others = [n for n in site.placement.owners(partition, replicas) if n != site.local]
    spans = intersection(within, [of_partition(partition, site.topology.partition_bits)])
    spans = intersection(spans, union(span for node in others for span in shorts[node].unread))
    for node in others:
        spans = intersection(spans, union(shorts[node].unread + shorts[node].unverified))
    return [
        Want(span, tuple(n for n in others if intersection([span], shorts[n].unread)))
        for span in spans
    ]


def lasting(site: Site, shorts: Mapping[int, Short], replicas: int, partition: int) -> list[Want]:
    """What stays damaged in a partition that has been repaired, as far as its owners have said:
    single records, which no owner could replace; in damaged files, what none can answer for.
    """
    owners = [node for node in site.placement.owners(partition, replicas) if node in shorts]
    unread = union(span for node in owners for span in shorts[node].unread)
    spans = intersection(unread, [of_partition(partition, site.topology.partition_bits)])
    for node in owners:
        short = union(shorts[node].unread + shorts[node].unverified)
        singles = [span for span in spans if span.first == span.last]
        spans = union(singles + intersection(spans, short))
    return [
        Want(span, tuple(n for n in owners if intersection([span], shorts[n].unread)))
        for span in spans
    ]


class Inquiry:
    """Asks several nodes what they are short of; `then` gets None unless all of them have said."""

    __slots__ = ("_nodes", "_shorts", "_site", "_then", "_waiting")

    def __init__(
        self,
        site: Site,
        nodes: Collection[int],
        then: Callable[[Mapping[int, Short] | None], object],
    ) -> None:
        self._site = site
        self._nodes = nodes
        self._then = then
        self._waiting = len(nodes)
        self._shorts: dict[int, Short] = {}

    def ask(self) -> None:
        if not self._nodes:
            self._site.runtime.call_soon(self._then, self._shorts)
        for node in self._nodes:
            question = Question(self._site, node, partial(self._on_reply, node))
            question.ask(Survey(question.op))

    def _on_reply(self, node: int, reply: Message | None) -> None:
        try:
            if isinstance(reply, Shortfall):
                self._shorts[node] = Short(check_spans(reply.unread), check_spans(reply.unverified))
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._then(self._shorts if len(self._shorts) == len(self._nodes) else None)
