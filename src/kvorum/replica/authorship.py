"""Authorship: which writes are this node's own, and the dots of those it is going to make.

A dot (actor, counter) is given once and never again (`model/record.py`). Other nodes may hold a
record that lists a dot of this node's actor which this node has not given. Its next writes would
be taken for those: a merge would drop them as long seen. Either the record was forged, or the node
runs on an older copy of its data directory. In both cases it may write no more under this actor.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.actor import is_same_node
from kvorum.model.errors import StorageError
from kvorum.model.record import Context, Event, Record


class Authorship:
    """The actor under which a node writes, and the last counter that it has used."""

    __slots__ = ("_on_outrun", "actor", "counter", "outrun")

    def __init__(self, actor: int, counter: int, on_outrun: Callable[[Event], object]) -> None:
        """`on_outrun` is told, once, of a write of this node that it has not made."""
        self.actor = actor
        self.counter = counter
        self.outrun = False
        """True once a write of this node was met that it has not made."""
        self._on_outrun = on_outrun

    def next_dot(self, now_ms: int) -> Event:
        """A new dot of this node. Raises StorageError if it may write no more."""
        if self.outrun:
            raise StorageError(
                "This node coordinates no writes, as its data directory is an older copy: others "
                "know writes of it that it does not. Ask another node, and restart this one."
            )
        self.counter += 1
        return Event(self.actor, self.counter, now_ms)

    def never_made(self, context: Context) -> Event | None:
        """A write of this node in `context` that it has not made; None if there is none."""
        actor, counter = self.actor, self.counter
        for event in context:
            if event.actor > actor:
                if is_same_node(event.actor, actor):
                    return event
            elif event.actor == actor and event.counter > counter:
                return event
        return None

    def disowns(self, record: Record) -> bool:
        """True if `record`, which another node holds, lists a write of this node that it has not
        made. From then on it makes no more writes.
        """
        event = self.never_made(record.context)
        if event is None:
            return False
        if not self.outrun:
            self.outrun = True
            self._on_outrun(event)
        return True
