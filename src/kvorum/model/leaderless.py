"""Leaderless replication: any owner of a key may coordinate a write of it (G. DeCandia et al.,
"Dynamo", 2007).

The coordinator: for a write that carries a version, any owner, so this node if it is one. Blind
writes of a key all go to one, its first healthy owner, so that sequential writers make no siblings.
An owner whose disk is full, or whose clock is wrong where it is to give a lifetime, leaves it to
another, and so does a node that is about to stop, if one that stays is up. Only if all owners are
away does a fallback coordinate.

What has to be read first: a blind write replaces what its coordinator has seen. The first owner,
while every node that may be asked has told it that it missed nothing, has seen all earlier ones;
any other node first reads a quorum's versions. So does an owner while the owners change: it has not
compared with those to come. Deletes, touches and preconditions speak about what is there, so they
always need a quorum's versions. Where a coordinator may lack what it acknowledged, its next dot
would cover that all the same: so it reads as many others as are sure to have one that stored it.

That a node has nothing of a key in a namespace kept in memory says nothing: it may have evicted it.
"""

from __future__ import annotations

from typing import Final

from kvorum.model.errors import RequestError
from kvorum.model.expiry import is_given
from kvorum.model.replica_set import ReplicaSet
from kvorum.model.request import ANY, Change, Delete, Put, beyond_replicas
from kvorum.model.write_plan import (
    ALONE,
    ASK_OWNERS,
    IMPOSSIBLE,
    MISSING,
    NOTHING,
    SOUND,
    UNREAD,
    UNVERIFIED,
    Confirmation,
    Sight,
    TooFew,
    WritePlan,
)

_SPEAKING: Final = (UNREAD, SOUND)


class Leaderless:
    """The mode in which every owner may coordinate; a `ReplicationMode`."""

    def plan(self, request: Change, replica_set: ReplicaSet, sight: Sight) -> WritePlan | TooFew:
        """Leave the request to its coordinator, or plan it if that is this node."""
        coordinator = self._coordinator(request, replica_set, sight)
        if coordinator is None:
            return TooFew("coordinate the write", 1, ())
        if coordinator == sight.local:
            return self.plan_here(request, replica_set, sight)
        return _leave_to(coordinator, replica_set)

    def plan_forwarded(
        self, request: Change, replica_set: ReplicaSet, sight: Sight
    ) -> WritePlan | TooFew:
        """An owner keeps what it is sent, so there is no third hop. A node that is none was chosen
        because all owners seemed away: if one can be reached from here it goes on to that one.
        """
        if sight.local not in replica_set.natural:
            owner = self.another(replica_set, sight, ())
            if owner is not None:
                return _leave_to(owner, replica_set)
            if sight.local not in replica_set.fallbacks:
                raise RequestError(
                    "A write was forwarded to a node that does not own its key. The cluster files "
                    "of the nodes differ: give all of them the same one."
                )
        return self.plan_here(request, replica_set, sight)

    def plan_here(
        self, request: Change, replica_set: ReplicaSet, sight: Sight
    ) -> WritePlan | TooFew:
        """Write to all owners, and first read as many as this node needs to know enough."""
        settings, is_up = sight.settings, sight.is_up
        needed = request.w or settings.write
        if needed > settings.replicas:
            raise beyond_replicas("w", needed, request.namespace, settings.replicas)
        up = [*filter(is_up, replica_set.preference)]
        if len(up) < needed:
            return TooFew("store it", needed, tuple(up))
        if replica_set.is_changing:
            possible = replica_set.next_owners + replica_set.fallbacks
            next_up = tuple(node for node in possible if is_up(node))
            if len(next_up) < needed:
                return TooFew("store it", needed, next_up)
        knows_enough = _knows_enough(request, replica_set, sight)
        return WritePlan(
            sight.local,
            replica_set.owners,
            replica_set.write_quorums(needed),
            NOTHING if knows_enough else _to_read(request, replica_set, sight, len(up)),
        )

    def another(self, replica_set: ReplicaSet, sight: Sight, unable: tuple[int, ...]) -> int | None:
        """The first owner that is up, stays, and is not known to be unable."""
        for node in replica_set.natural:
            if node not in unable and node not in sight.leaving and sight.is_up(node):
                return node
        return None

    def confirmation(self, request: Change, replica_set: ReplicaSet, sight: Sight) -> Confirmation:
        """The owners can tell all that was acknowledged if nobody may have stood in for them. Who
        does leaves a hint for the first of them, and that one is told of it.
        """
        if replica_set.is_changing:
            return IMPOSSIBLE
        if replica_set.preference == (sight.local,):
            return ALONE
        is_strict = (request.quorum or sight.settings.quorum) == "strict"
        is_first = replica_set.natural[0] == sight.local
        return (
            ASK_OWNERS
            if is_strict and is_first and len(sight.settled) == sight.nodes
            else IMPOSSIBLE
        )

    def _coordinator(self, request: Change, replica_set: ReplicaSet, sight: Sight) -> int | None:
        """An owner, or where all are away the first that stands in; None if that is away too."""
        local, leaving = sight.local, sight.leaving
        if local in replica_set.natural:
            if local in leaving or not _is_able(request, sight):
                other = self.another(replica_set, sight, (local,))
                return local if other is None else other
            if request.seen is not None or local == replica_set.natural[0]:
                return local
        last: int | None = None
        for node in replica_set.preference:
            if sight.is_up(node):
                if node not in leaving:
                    return node
                last = node if last is None else last
        return last


LEADERLESS: Final = Leaderless()


def _leave_to(coordinator: int, replica_set: ReplicaSet) -> WritePlan:
    return WritePlan(coordinator, (), (), NOTHING)


def _is_able(request: Change, sight: Sight) -> bool:
    """True if nothing of this node itself stands in the way: no full disk, no wrong clock."""
    if isinstance(request, Delete):
        return True
    if not sight.has_room:
        return False
    if sight.has_time:
        return True
    return not is_given(request.ttl, request.expires, sight.settings.ttl)


def _knows_enough(request: Change, replica_set: ReplicaSet, sight: Sight) -> bool:
    """True if this node's own record is all that the write needs to know."""
    if not isinstance(request, Put) or request.expect != ANY:
        return False
    own = sight.own
    if own not in _SPEAKING and (own != MISSING or sight.settings.durability == "none"):
        return False
    return request.seen is not None or (
        not sight.recovering
        and replica_set.natural[0] == sight.local
        and sight.settled.issuperset(replica_set.preference)
        and not replica_set.is_changing
    )


def _to_read(request: Change, replica_set: ReplicaSet, sight: Sight, up: int) -> int:
    """Of how many replicas the records have to be read, where `up` may be asked."""
    settings = sight.settings
    majority = settings.replicas // 2 + 1
    if isinstance(request, Put) and request.expect == ANY:
        # Only to avoid siblings: when no quorum can be read the write goes on without.
        to_read = min(majority, up)
    else:
        to_read = min(max(majority, settings.read), settings.replicas)
    if sight.own != UNVERIFIED:
        return to_read
    # All that was stored on W replicas, this one among them: its next dot will cover it.
    enough = settings.replicas - settings.write + 1
    return max(to_read, min(enough, len(replica_set.natural) - 1))
