"""Quorum arithmetic of one write: who has stored it, in whose place, and whether that is enough.

    owner       natural or pending: a node that the record belongs on. Each quorum is some of them
    stand-in    a fallback that was given the record in the place of an owner

    won         each quorum has `needed` owners that are served: they acknowledged it, or a
                stand-in did
    lost        so many owners of some quorum were given up that it can no longer be met

An owner is counted once: as served by the first acknowledgement for it, its own or a stand-in's; or
as failed when it is given up. What is heard of it later changes nothing: a duplicated
acknowledgement is not a second copy of the data, nor is a stand-in's beside its owner's, and an
owner that was given up was counted out already. Hence won and lost exclude each other and neither
is ever taken back. A stand-in serves its owner in every quorum that the owner is a member of.

One tally is made per request. Nearly all have one quorum of all owners, and all owners are there:
for these it is a list of who acknowledged, and its length. Details are kept once they matter.
"""

from __future__ import annotations

from kvorum.model.replica_set import Quorum


class Tally:
    """The acknowledgements of one write. `acked`: the nodes that were counted, in that order; a
    stand-in in the place of its owner. `complete`: every owner has been counted, so nothing can
    follow.
    """

    __slots__ = ("_details", "_needed", "_owners", "_quorums", "acked", "complete", "lost", "won")

    def __init__(self, quorums: tuple[Quorum, ...], owners: tuple[int, ...]) -> None:
        """`owners`: the nodes that are written to, among them the members of all quorums. A node
        that is in no quorum counts for `missing` and `complete` only.
        """
        self.acked: list[int] = []
        self._owners = owners
        self._quorums = quorums
        quorum = quorums[0]
        self._needed = needed = quorum.needed
        members = quorum.members
        if (members is owners or members == owners) and len(quorums) == 1:
            self._details: _Details | None = None
            self.won = needed <= 0
            self.lost = needed > len(owners)
            self.complete = not owners
        else:
            self._details = _Details([*owners])
            self._judge(self._details)

    # What is heard

    def ack(self, node: int) -> None:
        """`node`, which takes part, has stored the record."""
        if self._details is not None:
            self._ack_for(node, self._details)
            return
        acked = self.acked
        if node in acked:
            return
        acked.append(node)
        count = len(acked)
        if count >= self._needed:
            self.won = True
        if count >= len(self._owners):
            self.complete = True

    def miss(self, node: int) -> int | None:
        """`node` does not have the record, as far as is known.

        Returns the owner for which nobody is left that might still store it: it is to get another
        stand-in, or to be given up. None if there is no such owner.
        """
        details = self._detailed()
        owner = details.owner_of.get(node, node)
        if owner not in details.open or node in details.missed:
            return None
        details.missed.append(node)
        return None if details.is_expected(owner) else owner

    # What is decided

    def stand_in(self, fallback: int, owner: int) -> None:
        """`fallback` is given the record in the place of `owner`, of which no more is expected.

        Raises ValueError if it takes part in the write already: it would count twice.
        """
        if self.takes_part(fallback):
            raise ValueError(f"node {fallback} cannot stand in: it takes part in the write already")
        details = self._detailed()
        details.owner_of[fallback] = owner
        if owner not in details.missed:
            details.missed.append(owner)

    def give_up(self, owner: int) -> None:
        """Nobody is going to store it for `owner`; without effect if somebody has."""
        details = self._detailed()
        if owner in details.open:
            details.open.remove(owner)
            details.failed.append(owner)
            self._judge(details)

    # How it stands

    def takes_part(self, node: int) -> bool:
        """True if `node` is to store the record, as an owner or in the place of one."""
        details = self._details
        return node in self._owners or (details is not None and node in details.owner_of)

    @property
    def missing(self) -> list[int]:
        """The owners for which neither they themselves nor a stand-in acknowledged."""
        details = self._details
        if details is None:
            return [node for node in self._owners if node not in self.acked]
        return [node for node in self._owners if not details.is_served(node)]

    @property
    def hinted(self) -> int:
        """How many of the acknowledgements counted are from stand-ins."""
        details = self._details
        return 0 if details is None else sum(node in details.owner_of for node in self.acked)

    def progress(self) -> tuple[int, int]:
        """How many the quorum that is furthest from being met needs, and how many it has."""
        details = self._detailed()
        return min(
            ((quorum.needed, details.served(quorum)) for quorum in self._quorums),
            key=lambda each: each[1] - each[0],
        )

    def _detailed(self) -> _Details:
        if self._details is None:
            self._details = _Details([node for node in self._owners if node not in self.acked])
        return self._details

    def _ack_for(self, node: int, details: _Details) -> None:
        """`node` has stored the record for itself or for the owner in whose place it stands."""
        owner = details.owner_of.get(node, node)
        if owner in details.open:
            details.open.remove(owner)
            self.acked.append(node)
            self._judge(details)

    def _judge(self, details: _Details) -> None:
        self.won = all(details.served(quorum) >= quorum.needed for quorum in self._quorums)
        self.lost = any(details.possible(quorum) < quorum.needed for quorum in self._quorums)
        self.complete = not details.open


class _Details:
    """The state of each owner. `open`: neither served nor given up. `failed`: given up.
    `owner_of`: in whose place a stand-in stands. `missed`: owners and stand-ins that do not have
    the record, for all that is known.
    """

    __slots__ = ("failed", "missed", "open", "owner_of")

    def __init__(self, still_open: list[int]) -> None:
        self.open = still_open
        self.failed: list[int] = []
        self.owner_of: dict[int, int] = {}
        self.missed: list[int] = []

    def is_served(self, owner: int) -> bool:
        return owner not in self.open and owner not in self.failed

    def is_expected(self, owner: int) -> bool:
        """True if the owner, or somebody in its place, may still store the record."""
        missed = self.missed
        return owner not in missed or any(
            node not in missed for node, served in self.owner_of.items() if served == owner
        )

    def served(self, quorum: Quorum) -> int:
        """How many members are served."""
        return sum(map(self.is_served, quorum.members))

    def possible(self, quorum: Quorum) -> int:
        """How many members are served, or may still be."""
        return sum(node not in self.failed for node in quorum.members)
