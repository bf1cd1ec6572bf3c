"""The membership list of one node, and how two lists are brought together.

    A                       B
    │── GossipDigest ──────>│   A's lives of all members, and whom A accuses
    │<──────── GossipDelta ─│   what B knows later, and what B wants
    │── GossipDelta ───────>│   what B wanted

A life is only ever raised by its owner, and everybody keeps the largest it has seen, so lists
merge in any order and however often. Opinions (up, suspect, down) are not merged: each node
judges for itself, and tells its own opinion only. An accusation that reaches the accused makes
it raise its life above the accused one; so does the trace of a former life, whose clock may
have been ahead of the present one.

What a peer claims is checked entry by entry: an entry that cannot be true is left out and
counted. A member is not defended against a peer that invents plausible heartbeats for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from kvorum.cluster.member import UNKNOWN, Life, Member
from kvorum.cluster.settings import MembershipSettings
from kvorum.wire.messages import GossipDelta, GossipDigest

CLOCK_FLOOR_MS: Final = 1_577_836_800_000
"""2020: no clock is right that is behind this. Machines without a battery start in 1970."""
AHEAD_MS_MAX: Final = 30 * 365 * 86_400_000
"""How far a generation may be ahead of our clock. Wrong clocks must not part a cluster; a lie
within it costs nothing, since its victim outranks it."""
HEARTBEAT_MAX: Final = (1 << 32) - 1
"""At one a second, 136 years."""

Entry = TypeVar("Entry")
_OPINION_S: Final = 10.0
"""For how long the opinion counts of a node that is itself not available."""

Claim = tuple[int, int, int, int]
"""(node, generation, heartbeat, active_ms), as it travels."""


class Opinion(NamedTuple):
    """The nodes that another node takes to be suspect or down, and when it told so (monotonic)."""

    told_at: float
    accused: frozenset[int]


class Roster:
    """The membership list of the node `local`. `refused`: how many claims could not be true."""

    def __init__(
        self,
        nodes: Iterable[int],
        local: int,
        settings: MembershipSettings,
        now: float,
        wall_ms: int,
    ) -> None:
        """`nodes`: the numbers of all members, this node's among them."""
        self.local = local
        self.members = {node: Member(node, settings, now) for node in nodes}
        self.members[local].life = (max(wall_ms, CLOCK_FLOOR_MS), 0)
        self.members[local].active_ms = max(wall_ms, 0)
        self.refused = 0
        self._opinions: dict[int, Opinion] = {}

    def beat(self, wall_ms: int) -> None:
        """This node's heart beats."""
        me = self.members[self.local]
        me.life = _next(me.life)
        me.active_ms = max(wall_ms, 0)

    def is_peer(self, node: int) -> bool:
        """True if `node` is another member."""
        return node in self.members and node != self.local

    # What we tell

    def digest(self) -> GossipDigest:
        """All that this node knows of the members, in short."""
        members = self.members.values()
        known = [(m.node, *m.life) for m in members if m.life != UNKNOWN]
        return GossipDigest(known, [m.node for m in members if m.state != "up"])

    def answer(self, digest: GossipDigest, wall_ms: int) -> GossipDelta:
        """What the sender of `digest` does not know, and what this node wants to know."""
        news, wanted, named = [], [], set()
        for node, generation, heartbeat in self._bounded(digest.members):
            if not self._is_plausible(node, generation, heartbeat, 0, wall_ms):
                continue
            named.add(node)
            life = (generation, heartbeat)
            if node == self.local:
                self._outrank(life)
            known = self.members[node].life
            if life > known:
                wanted.append(node)
            elif life < known:
                news.append(self._claim(self.members[node]))
        members = self.members.values()
        unnamed = (m for m in members if m.node not in named and m.life != UNKNOWN)
        news += [self._claim(member) for member in unnamed]
        return GossipDelta(news, wanted)

    def news(self, wanted: Sequence[int]) -> list[Claim]:
        """What this node knows of the members `wanted`."""
        nodes = [node for node in self._bounded(wanted) if self._is_member(node)]
        return [self._claim(self.members[node]) for node in nodes]

    # What we are told

    def absorb(
        self, claims: Sequence[Claim], now: float, wall_ms: int
    ) -> tuple[set[int], list[int]]:
        """Take in `claims`. Returns the members alive later than known, and those back by that."""
        alive, returned = set(), []
        for node, generation, heartbeat, active_ms in self._bounded(claims):
            if not self._is_plausible(node, generation, heartbeat, active_ms, wall_ms):
                continue
            life = (generation, heartbeat)
            member = self.members[node]
            if node == self.local:
                self._outrank(life)
            elif life > member.life:
                alive.add(node)
                if member.lived(life, active_ms, now):
                    returned.append(node)
        return alive, returned

    def accusations(self, sender: int, digest: GossipDigest, now: float) -> list[int]:
        """Note the sender's opinion. Returns the members that it accuses, while this node takes
        them to be up and has no later news of them.
        """
        accused = [node for node in self._bounded(digest.accused) if self._is_member(node)]
        self._opinions[sender] = Opinion(now, frozenset(accused))
        if not accused:
            return []
        lives = {node: (generation, heartbeat) for node, generation, heartbeat in digest.members}
        suspects = []
        for node in accused:
            life, member = lives.get(node, UNKNOWN), self.members[node]
            if node == self.local:
                if life == member.life:
                    member.life = _next(life)
            elif member.state == "up" and life >= member.life:
                suspects.append(node)
        return suspects

    # What others think

    def dissenters(self, now: float) -> dict[int, list[int]]:
        """For each member, the nodes whose last opinion of it differs from this node's."""
        judges = {
            observer: opinion
            for observer, opinion in sorted(self._opinions.items())
            # The last words of the dead are soon out of date. But a node that all the others
            # hold down may hold them down, too, and must not miss what they think of it.
            if self.members[observer].is_available or now - opinion.told_at <= _OPINION_S
        }
        accusers: dict[int, list[int]] = {node: [] for node in self.members}
        for observer, opinion in judges.items():
            for node in opinion.accused:
                accusers[node].append(observer)
        return {
            node: accusers[node]
            if member.is_available
            else sorted(judges.keys() - set(accusers[node]) - {node})
            for node, member in self.members.items()
        }

    def _claim(self, member: Member) -> Claim:
        return (member.node, *member.life, member.active_ms)

    def _outrank(self, life: Life) -> None:
        """Take a life above `life` if somebody has seen us live later than we do."""
        me = self.members[self.local]
        if life[0] > me.life[0]:
            me.life = (life[0] + 1, 1)
        elif life > me.life:
            me.life = _next(life)

    # Checks

    def _bounded(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        if len(entries) <= len(self.members):
            return entries
        self.refused += len(entries) - len(self.members)
        return entries[: len(self.members)]

    def _is_member(self, node: int) -> bool:
        if node in self.members:
            return True
        self.refused += 1
        return False

    def _is_plausible(
        self, node: int, generation: int, heartbeat: int, active_ms: int, wall_ms: int
    ) -> bool:
        latest = max(wall_ms, CLOCK_FLOOR_MS) + AHEAD_MS_MAX
        if (
            node in self.members
            and 0 < generation <= latest
            and 0 <= heartbeat <= HEARTBEAT_MAX
            and 0 <= active_ms <= latest
        ):
            return True
        self.refused += 1
        return False


def _next(life: Life) -> Life:
    generation, heartbeat = life
    return (generation, heartbeat + 1) if heartbeat < HEARTBEAT_MAX else (generation + 1, 1)
