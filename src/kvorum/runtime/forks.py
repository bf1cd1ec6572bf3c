"""Forks: what a child process inherits as a copy, and must leave alone.

A fork copies a process's memory and its open files, but of its threads only the one that forks.
What other threads held locked stays locked in the child for ever, and what relies on threads of
its own does not work there. A destructor is no better than any other call: it may wait for such
a lock, or write to files that the parent goes on writing to. So the child keeps what is
`left_to_parent` as it is, to its very end: each such object gets a reference that is never given
back, and the interpreter's own clearing up at exit passes it by.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Final, Protocol


class Inherited(Protocol):
    """An object that a child process must leave alone."""

    def orphaned(self) -> None:
        """Called in the child, once: give up what the parent would be hindered by. No locks."""


_owners: Final[dict[int, weakref.ref[Inherited]]] = {}
_while_forking: Final[list[Inherited]] = []
"""A thread that does not survive the fork may hold the last reference that there is."""


def left_to_parent(owner: Inherited) -> None:
    """Have every child process leave `owner`, and all that it refers to, to this process."""
    place = id(owner)
    _owners[place] = weakref.ref(owner, lambda _: _owners.pop(place, None))


def _alive() -> list[Inherited]:
    # Other threads may come in between, but not into the copying of the values.
    return [owner for ref in list(_owners.values()) if (owner := ref()) is not None]


def _before() -> None:
    _while_forking.extend(_alive())


def _in_child() -> None:
    for owner in _alive():
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(owner))
        owner.orphaned()
    _owners.clear()
    _while_forking.clear()


os.register_at_fork(before=_before, after_in_parent=_while_forking.clear, after_in_child=_in_child)
