"""A write plan: which node coordinates a write, which are written to, and what has to be read
before.

The replication mode of a namespace decides that (`leaderless.py`). The plan depends on nothing but
the request, the key's replica set, and what the planning node knows at this moment, its sight.

A client's request is planned where it comes in, `plan`. If another node is to coordinate it, it is
forwarded, and planned there by what that node sees, `plan_forwarded`. Before the coordinator makes
anything it has looked at its own record of the key; if that is not sound, it plans once more,
`plan_here`.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Final, Literal, Protocol

import msgspec

from kvorum.model.replica_set import Quorum, ReplicaSet
from kvorum.model.request import Change
from kvorum.model.topology import NamespaceSettings

OwnRecord = Literal[0, 1, 2, 3, 4]
"""What the planning node has stored of the key."""
UNREAD: Final = 0
"""It has not looked, and knows of no damage: taken for sound."""
SOUND: Final = 1
MISSING: Final = 2
"""Nothing; not even a tombstone."""
UNREADABLE: Final = 3
"""The store failed to read it. Nothing is known to be lost."""
UNVERIFIED: Final = 4
"""It is damaged, or took the place of one that was: it may lack what this node acknowledged."""

Confirmation = Literal[0, 1, 2]
"""How it can be known that the value of a blind write, which the coordinator holds, is in force."""
IMPOSSIBLE: Final = 0
"""It cannot: a new version is to be made."""
ALONE: Final = 1
"""It is: there is nobody else who could hold anything."""
ASK_OWNERS: Final = 2
"""If all owners say, asked after the write came in, that they hold nothing else."""

NOTHING: Final = 0
"""As `read_first`."""


class Sight(msgspec.Struct, frozen=True):
    """What the planning node knows at this moment.

    `local`: its number. `is_up`: whether a node can be asked, as far as is known; true of itself.
    `settled`: the nodes, itself among them, that have said since their link opened that this node
    missed nothing. `nodes`: how many the cluster has. `settings`: of the request's namespace.
    `has_room`: its disk, where the namespace needs it, takes new values. `has_time`: its clock is
    good enough to say when something expires. `recovering`: its copies are incomplete as a whole.
    `own`: what it holds of the key. `leaving`: the nodes that are about to stop.
    """

    local: int
    is_up: Callable[[int], bool]
    settled: frozenset[int]
    nodes: int
    settings: NamespaceSettings
    has_room: bool = True
    has_time: bool = True
    recovering: bool = False
    own: OwnRecord = UNREAD
    leaving: Set[int] = frozenset()


class WritePlan(msgspec.Struct, frozen=True, gc=False):
    """`coordinator` is to have the record stored by `targets`, until each of `quorums` is met.

    `read_first`: of how many replicas the records have to be read before; NOTHING if its own is
    all that the coordinator needs to know.

    A plan for another node says who that is, and no more: that node makes its own.
    """

    coordinator: int
    targets: tuple[int, ...]
    quorums: tuple[Quorum, ...]
    read_first: int


class TooFew(msgspec.Struct, frozen=True, gc=False):
    """There is no plan: `needed` nodes have to be up to do `what`, and only `up` are."""

    what: str
    needed: int
    up: tuple[int, ...]


class ReplicationMode(Protocol):
    """Plans each write. Its answers depend on its arguments alone."""

    def plan(self, request: Change, replica_set: ReplicaSet, sight: Sight) -> WritePlan | TooFew:
        """For a client's request. Raises RequestError if it can be met by no number of nodes."""

    def plan_forwarded(
        self, request: Change, replica_set: ReplicaSet, sight: Sight
    ) -> WritePlan | TooFew:
        """For a request that another node has chosen this one to coordinate.

        Raises RequestError if it can be met by no number of nodes, or if this node has no part in
        the partition.
        """

    def plan_here(
        self, request: Change, replica_set: ReplicaSet, sight: Sight
    ) -> WritePlan | TooFew:
        """Of a request that this node coordinates. Raises RequestError if nothing can meet it."""

    def another(self, replica_set: ReplicaSet, sight: Sight, unable: tuple[int, ...]) -> int | None:
        """The node that may coordinate in the place of those `unable`; None if there is none."""

    def confirmation(self, request: Change, replica_set: ReplicaSet, sight: Sight) -> Confirmation:
        """How a blind write of the value that this node holds can be known to change nothing."""
