"""A replica set: the nodes that matter for the records of one partition, in one epoch.

    natural     own it now, in preference order
    pending     will own it when the change under way is complete; they take writes already
    leaving     are natural now and will not be then
    fallbacks   stand in for natural ones that are away, in that order; none under a strict quorum

(The roles of Cassandra's replica plans; "sloppy quorum" in G. DeCandia et al., "Dynamo", 2007,
section 4.6.)
"""

from __future__ import annotations

import msgspec


class Quorum(msgspec.Struct, frozen=True):
    """A condition on a write: `needed` of `members` have to acknowledge it."""

    needed: int
    members: tuple[int, ...]


class ReplicaSet(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes, by number, that matter for the records of one partition.

    The last three follow from the others, and are worked out once, since every request needs them.
    `preference`: the nodes to ask, the natural ones and after them the fallbacks. `owners`: the
    nodes to write to, the natural and the pending ones. `is_changing`: True while the owners
    change.
    """

    epoch: int
    natural: tuple[int, ...]
    pending: tuple[int, ...] = ()
    leaving: tuple[int, ...] = ()
    fallbacks: tuple[int, ...] = ()
    preference: tuple[int, ...] = ()
    owners: tuple[int, ...] = ()
    is_changing: bool = False

    def __post_init__(self) -> None:
        force = msgspec.structs.force_setattr
        force(self, "preference", self.natural + self.fallbacks)
        force(self, "owners", self.natural + self.pending)
        force(self, "is_changing", bool(self.pending or self.leaving))

    @property
    def next_owners(self) -> tuple[int, ...]:
        """The owners of the partition once the change under way, if there is one, is complete."""
        staying = tuple(node for node in self.natural if node not in self.leaving)
        return staying + self.pending

    def write_quorums(self, needed: int) -> tuple[Quorum, ...]:
        """`needed` of the owners of now, and during a change as many of the next ones."""
        now = Quorum(needed, self.natural)
        return (now, Quorum(needed, self.next_owners)) if self.is_changing else (now,)
