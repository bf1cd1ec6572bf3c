"""Departures: nodes of the simulated cluster that are stopped as planned.

As in `node/departure.py`, they answer on for a while and tell other nodes; clients that have a
choice turn elsewhere. Then the door is shut, and a node stops when its clients have their answers
and its departure is complete, or too much time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvorum.sim.life import Life
from kvorum.sim.scheduler import Scheduler

_LOOK_AGAIN_S: Final = 0.002
_PATIENCE_S: Final = 5.0


class Departures:
    """The nodes that are leaving. `stop` ends the life of one in order."""

    def __init__(
        self, scheduler: Scheduler, lives: list[Life | None], stop: Callable[[int], object]
    ) -> None:
        self._scheduler = scheduler
        self._lives = lives
        self._stop = stop
        self._leaving: dict[int, tuple[Life, Callable[[], object]]] = {}
        """The life that ends, and what is to be called when it has."""
        self._asked: dict[int, int] = {}
        """How many requests of clients each node has not answered."""

    def begin(self, node: int, grace_s: float, then: Callable[[], object]) -> None:
        """`node` leaves; clients have `grace_s` to turn to others. `then` is called when it has."""
        life = self._lives[node]
        if life is None or self.is_leaving(node):
            return
        self._leaving[node] = life, then
        life.replicator.leave()
        self._scheduler.after(grace_s, None, self._shut_door, node, life)

    def is_leaving(self, node: int) -> bool:
        """True if the life that `node` has now is leaving."""
        return node in self._leaving

    def staying(self, nodes: list[int]) -> list[int]:
        """Those of `nodes` that are not leaving; all of them if none stays."""
        return [node for node in nodes if not self.is_leaving(node)] or nodes

    def asked(self, node: int) -> Callable[[], None]:
        """A client asks `node`; returns what is called when it is answered."""
        life = self._lives[node]
        self._asked[node] = self._asked.get(node, 0) + 1

        def answered() -> None:
            if self._lives[node] is life:
                self._asked[node] -= 1

        return answered

    def ended(self, node: int) -> None:
        """The life of `node` has ended, in whatever way."""
        self._asked[node] = 0
        _, then = self._leaving.pop(node, (None, None))
        if then is not None:
            then()

    def _shut_door(self, node: int, life: Life) -> None:
        if self._lives[node] is life:
            life.replicator.shut_door()
            self._look(node, life, self._scheduler.now + _PATIENCE_S)

    def _look(self, node: int, life: Life, until: float) -> None:
        if self._lives[node] is not life:
            return
        done = life.replicator.left and not self._asked.get(node)
        if done or self._scheduler.now > until:
            self._stop(node)
        else:
            self._scheduler.after(_LOOK_AGAIN_S, None, self._look, node, life, until)
