"""The names that people see for actors: the node's name, and which life of it if not the first.

n1      the first incarnation of n1
n1#3    its third: it has stopped uncleanly twice
4f2a..  an actor of a node this one has never met
"""

from __future__ import annotations

from kvorum.model.actor import INCARNATION_BITS, INCARNATION_MAX
from kvorum.storage.directory import DataDirectory

_ACTOR_HEX_DIGITS = (64 - INCARNATION_BITS) // 4


class ActorNames:
    """How actors are shown to people."""

    __slots__ = ("_directory", "_name", "_node_id")

    def __init__(self, directory: DataDirectory, name: str) -> None:
        self._directory = directory
        self._node_id = directory.node_id
        self._name = name

    def __call__(self, actor: int) -> str:
        node = f"{actor >> INCARNATION_BITS:0{_ACTOR_HEX_DIGITS}x}"
        incarnation = actor & INCARNATION_MAX
        name = self._name_of(node)
        return name if incarnation == 1 else f"{name}#{incarnation}"

    def _name_of(self, node: str) -> str:
        if self._node_id.startswith(node):
            return self._name
        for node_id, name in self._directory.names.items():
            if node_id.startswith(node):
                return name
        return node
