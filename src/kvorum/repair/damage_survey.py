"""A survey of damage: the owners of a range of keys are asked which records they cannot read.

Each tells what it has found damaged so far and nothing has replaced since; nothing is read for the
survey. A record that one of them can read has been given to the others by a repair before. In a
damaged file the place is damaged all the same, until the file is compacted away. So only what all
of them cannot read counts.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.cluster.view import ClusterView
from kvorum.model.errors import StorageError
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import KeyRange
from kvorum.wire.messages import Message, Page, Scan

Damage = list[KeyRange]
"""Ranges of keys."""


class DamageSurvey:
    """Asks the owners of a range of keys what they cannot read there."""

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        keys: KeyRange,
        done: Callable[[Damage, bool], object],
    ) -> None:
        """`done(damage, complete)`; it is not complete if an owner did not answer."""
        self._view = view
        self._replica = replica
        self._operations = operations
        self._range = keys
        self._done = done
        self._common: Damage = [keys]
        self._complete = True
        self._left = 0

    def start(self, owners: tuple[int, ...]) -> None:
        self._left = len(owners)
        for node in sorted(owners):
            if node == self._view.local:
                self._operations.runtime.call_soon(self._look)
            elif self._operations.is_up(node):
                self._ask(node)
            else:
                self._operations.runtime.call_soon(self._take, None)

    def _look(self) -> None:
        try:
            found = self._replica.store.unreadable(*self._range)
        except StorageError:
            self._take(None)
        else:
            self._take(Page(0, [], b"", found))

    def _ask(self, node: int) -> None:
        question = Question(self._operations, node, self._take)
        question.ask(Scan(question.op, *self._range, 0))

    def _take(self, reply: Message | None) -> None:
        if isinstance(reply, Page):
            self._common = _in_both(self._common, reply.unreadable)
        else:
            self._complete = False
        self._left -= 1
        if not self._left:
            self._done(self._common if self._complete else [], self._complete)


def _in_both(some: Damage, others: Damage) -> Damage:
    found = {
        (max(start, first), min(end, last))
        for start, end in some
        for first, last in others
        if start < last and first < end
    }
    return sorted(found)
