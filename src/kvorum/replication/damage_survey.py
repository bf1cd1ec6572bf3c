"""A survey of damage: which owners of a range hold something there that cannot be read.

What they have found damaged so far, and nothing has replaced since. Nothing is read for it.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.errors import StorageError
from kvorum.replication.question import Question
from kvorum.replication.site import Site
from kvorum.storage.store import KeyRange
from kvorum.wire.messages import Message, Page, Scan

Damage = dict[KeyRange, list[int]]
"""Which nodes cannot read what is in a range of keys."""


class DamageSurvey:
    __slots__ = ("_complete", "_damage", "_done", "_left", "_range", "_site")

    def __init__(self, site: Site, keys: KeyRange, done: Callable[[Damage, bool], object]) -> None:
        """`done(damage, complete)`; it is not complete if an owner did not answer."""
        self._site = site
        self._range = keys
        self._done = done
        self._damage: Damage = {}
        self._complete = True
        self._left = 0

    def start(self, owners: tuple[int, ...]) -> None:
        self._left = len(owners)
        for node in sorted(owners):
            if node == self._site.local:
                self._site.runtime.call_soon(self._look)
            elif self._site.is_up(node):
                self._ask(node)
            else:
                self._site.runtime.call_soon(self._take, node, None)

    def _look(self) -> None:
        site = self._site
        try:
            found = site.store.unreadable(*self._range)
        except StorageError:
            self._take(site.local, None)
        else:
            self._take(site.local, Page(0, [], True, found))

    def _ask(self, node: int) -> None:
        question = Question(self._site, node, lambda reply: self._take(node, reply))
        question.ask(Scan(question.op, *self._range, 0))

    def _take(self, node: int, reply: Message | None) -> None:
        if isinstance(reply, Page):
            for keys in reply.unreadable:
                self._damage.setdefault(keys, []).append(node)
        else:
            self._complete = False
        self._left -= 1
        if not self._left:
            self._done(self._damage, self._complete)
