"""Membership: how a node finds out which other nodes are up, by gossip and by probes.

    each interval       beat; send a digest to the partners of this round
    twice as often      ping each member that is not up, so that one that is back is heard at once
    ten times as often  probe members that have fallen silent; suspect those that nobody reaches

The decisions are in `roster`, `member`, `phi`, `probes` and `partners`, which know neither
clock nor network; here they are given both. What the nodes' wall clocks show comes with the
gossip (`clocks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from kvorum.cluster.clock_notices import apart
from kvorum.cluster.clocks import WALL_MS_MAX, Clocks
from kvorum.cluster.member import Member, State
from kvorum.cluster.partners import partners, seeds
from kvorum.cluster.probes import Probes, Send
from kvorum.cluster.roster import Roster
from kvorum.cluster.settings import MembershipSettings
from kvorum.links.transport import Transport
from kvorum.runtime.ports import Cancellable, Runtime
from kvorum.wire.messages import GossipDelta, GossipDigest, Ping, PingReport, PingRequest, Pong

DEFAULTS: Final = MembershipSettings()

_CHECKS_PER_INTERVAL: Final = 10
_CALLS_PER_INTERVAL: Final = 2
_CALL: Final = 0
"""The number of a ping that belongs to no probe: those are numbered from a random start."""
_ROUND_JITTER: Final = 0.1
_PAUSE_INTERVALS: Final = 1.0
"""If our own timer is later than this, this node was away, not all others."""


class MemberView(msgspec.Struct, frozen=True, kw_only=True):
    """A member as this node sees it; `since_ms` and `active_ms` are wall clock times.

    `dissenters`: the nodes that last told us another opinion of it. Suspect and down are one
    opinion at two ages.
    """

    node: int
    state: State
    since_ms: int
    phi: float
    generation: int
    heartbeat: int
    last_active_ms: int
    dissenters: list[int]


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """How often each event of membership has happened since the start."""

    refused: int
    """Messages and entries that cannot be true."""
    suspicions: int
    refutations: int
    """Suspicions that turned out wrong before they had made the member down."""
    probes: int
    clocks_apart: int
    """Other nodes whose clocks differ from ours by more than they should, now."""


class Membership:
    """The members of the cluster as this node sees them, kept current."""

    def __init__(
        self,
        nodes: Sequence[int],
        local: int,
        runtime: Runtime,
        transport: Transport,
        on_change: Callable[[int], object],
        settings: MembershipSettings = DEFAULTS,
    ) -> None:
        """`nodes`: all numbers, ascending. `on_change(node)`: it is available, or no longer."""
        self._runtime = runtime
        self._transport = transport
        self._on_change = on_change
        self._settings = settings
        self._checked = runtime.now()
        self.clocks = Clocks(len(nodes), runtime, settings.first_contact_s)
        self._roster = Roster(nodes, local, settings, self._checked, runtime.wall_ms())
        self._probes = Probes(local, settings, runtime.rng)
        self._seeds = seeds(nodes, local)
        self._round_timer: Cancellable | None = None
        self._check_timer: Cancellable | None = None
        self._call_timer: Cancellable | None = None
        self.handlers: dict[type, Callable[[int, Any], None]] = {
            GossipDigest: self._guarded(self._on_digest),
            GossipDelta: self._guarded(self._on_delta),
            Ping: self._guarded(self._on_ping),
            Pong: self._guarded(self._on_pong),
            PingRequest: self._guarded(self._on_ping_request),
            PingReport: self._guarded(self._on_ping_report),
        }
        """By type of message; each takes the sender and the message."""

    def start(self) -> None:
        """Begin to gossip and to probe."""
        self._checked = self._runtime.now()
        for member in self._roster.members.values():
            member.arrivals.expect(self._checked + self._settings.first_contact_s)
        # Until clocks have been compared nothing is given a lifetime here.
        self._gossip()
        # Nodes that were started together should not all gossip at the same moments.
        delay_s = self._settings.interval_s * self._runtime.rng.random()
        self._round_timer = self._runtime.call_later(delay_s, self._round)
        self._check_timer = self._runtime.call_later(self._check_s, self._check)
        self._call_timer = self._runtime.call_later(self._call_s, self._call)

    def stop(self) -> None:
        """Do nothing more."""
        for timer in (self._round_timer, self._check_timer, self._call_timer):
            if timer is not None:
                timer.cancel()
        self._round_timer = self._check_timer = self._call_timer = None
        self._probes.abandon()

    def heard(self, node: int) -> None:
        """Direct evidence that `node` lives, other than by the messages handled here."""
        self._probes.settle(node)
        if self._roster.members[node].spoke(self._runtime.now()):
            self._runtime.call_soon(self._on_change, node)

    def is_available(self, node: int) -> bool:
        """False while `node` is suspect or down. This node, and one never heard of, is not."""
        return self._roster.members[node].state == "up"

    def view(self) -> list[MemberView]:
        """All members, this node among them."""
        now, wall_ms = self._runtime.now(), self._runtime.wall_ms()
        return [
            self._view_of(member, dissenters, now, wall_ms)
            for member, dissenters in zip(
                self._roster.members.values(), self._roster.dissenters(now).values(), strict=True
            )
        ]

    @property
    def counters(self) -> Counters:
        """The counts as they are now."""
        members = self._roster.members.values()
        return Counters(
            refused=self._roster.refused,
            suspicions=sum(member.suspicions for member in members),
            refutations=sum(member.refutations for member in members),
            probes=self._probes.begun,
            clocks_apart=len(apart(self.clocks.ahead_ms())),
        )

    # By the clock

    @property
    def _check_s(self) -> float:
        return self._settings.interval_s / _CHECKS_PER_INTERVAL

    @property
    def _call_s(self) -> float:
        return self._settings.interval_s / _CALLS_PER_INTERVAL

    def _round(self) -> None:
        rng, interval_s = self._runtime.rng, self._settings.interval_s
        delay_s = interval_s * rng.uniform(1 - _ROUND_JITTER, 1 + _ROUND_JITTER)
        self._round_timer = self._runtime.call_later(delay_s, self._round)
        self._roster.beat(self._runtime.wall_ms())
        self.clocks.refresh()
        self._gossip()

    def _gossip(self) -> None:
        rng, available = self._runtime.rng, self._available()
        chosen = set(partners(rng, available, self._unavailable(), self._settings.fanout))
        if self._seeds and rng.random() < self._settings.seed_chance:
            chosen.add(rng.choice(self._seeds))
        digest = msgspec.structs.replace(self._roster.digest(), sent_at=self._runtime.now())
        for node in sorted(chosen):
            self._transport.send(node, digest)

    def _call(self) -> None:
        """Ping the members that are not up. One that has come back need not contact this node by
        itself: it may have held this node up all the time, or have chosen others to gossip with.
        """
        self._call_timer = self._runtime.call_later(self._call_s, self._call)
        for node in self._unavailable():
            self._transport.send(node, Ping(_CALL, self._roster.local))

    def _check(self) -> None:
        now = self._runtime.now()
        self._check_timer = self._runtime.call_later(self._check_s, self._check)
        late_s = now - self._checked - self._check_s
        self._checked = now
        if late_s > _PAUSE_INTERVALS * self._settings.interval_s:
            self._forgive(late_s, now)
        self._send(self._probes.step(now, self._available))
        suspicions = 0
        for member in self._roster.members.values():
            if member.node == self._roster.local:
                continue
            if member.state != "up":
                member.age(now)
            elif self._is_quiet(member, now):
                suspicions += self._check_quiet(member, now)
        if suspicions:
            # Others miss them, too, by now; an accusation lets them conclude sooner.
            self._gossip()

    def _check_quiet(self, member: Member, now: float) -> bool:
        """Probe `member`, and suspect it if its probe has failed. Returns True if it did so now."""
        phi = member.arrivals.phi(now)
        failed = self._probes.failed(member.node)
        if failed and (failed.seconded or phi > self._settings.phi_threshold):
            self._probes.settle(member.node)
            member.suspect(now)
            self._on_change(member.node)
            return True
        if phi > self._settings.phi_probe:
            self._send(self._probes.begin(member.node, now))
        return False

    def _forgive(self, pause_s: float, now: float) -> None:
        for member in self._roster.members.values():
            member.arrivals.forgive(pause_s, now)
        self._probes.abandon()

    # On messages

    def _guarded(self, handler: Callable[[int, Any], None]) -> Callable[[int, Any], None]:
        """`handler`, for messages of other members only; the message itself is evidence."""

        def handle(node: int, message: Any) -> None:
            if not self._roster.is_peer(node):
                self._roster.refused += 1
                return
            self._alive(node)
            handler(node, message)

        return handle

    def _on_digest(self, node: int, digest: GossipDigest) -> None:
        now = self._runtime.now()
        # First, so that the answer to an accusation of us is already the life above it.
        accused = self._roster.accusations(node, digest, now)
        wall_ms = self._runtime.wall_ms()
        answer = msgspec.structs.replace(
            self._roster.answer(digest, wall_ms), asked_at=digest.sent_at, wall_ms=max(wall_ms, 0)
        )
        self._transport.send(node, answer)
        for suspect in accused:
            # A reason to ask, never a verdict; and none against a node that we just heard.
            if self._is_quiet(self._roster.members[suspect], now):
                self._send(self._probes.begin(suspect, now))
                self._probes.second(suspect)

    def _on_delta(self, node: int, delta: GossipDelta) -> None:
        if delta.asked_at is not None and 0 <= delta.wall_ms <= WALL_MS_MAX:
            self.clocks.compare(node, delta.wall_ms, delta.asked_at)
        alive, returned = self._roster.absorb(
            delta.members, self._runtime.now(), self._runtime.wall_ms()
        )
        for member in alive:
            self._probes.settle(member)
        for member in returned:
            self._on_change(member)
        if delta.wanted:
            self._transport.send(node, GossipDelta(self._roster.news(delta.wanted), []))

    def _on_ping(self, node: int, ping: Ping) -> None:
        self._transport.send(node, Pong(ping.number, ping.asker))

    def _on_pong(self, node: int, pong: Pong) -> None:
        if pong.asker == self._roster.local:
            return
        if self._roster.is_peer(pong.asker):
            self._transport.send(pong.asker, PingReport(pong.number))
        else:
            self._roster.refused += 1

    def _on_ping_request(self, node: int, request: PingRequest) -> None:
        if self._roster.is_peer(request.target) and request.target != node:
            self._transport.send(request.target, Ping(request.number, node))
        else:
            self._roster.refused += 1

    def _on_ping_report(self, node: int, report: PingReport) -> None:
        target = self._probes.report(node, report.number)
        if target is not None:
            self._alive(target)

    def _alive(self, node: int) -> None:
        self._probes.settle(node)
        if self._roster.members[node].spoke(self._runtime.now()):
            self._on_change(node)

    def _is_quiet(self, member: Member, now: float) -> bool:
        return now - member.arrivals.last > self._settings.interval_s

    def _available(self) -> list[int]:
        local, members = self._roster.local, self._roster.members.values()
        return [m.node for m in members if m.state == "up" and m.node != local]

    def _unavailable(self) -> list[int]:
        return [m.node for m in self._roster.members.values() if m.state != "up"]

    def _send(self, sends: Iterable[Send]) -> None:
        for node, message in sends:
            self._transport.send(node, message)

    def _view_of(
        self, member: Member, dissenters: list[int], now: float, wall_ms: int
    ) -> MemberView:
        is_local = member.node == self._roster.local
        generation, heartbeat = member.life
        return MemberView(
            node=member.node,
            state=member.state,
            since_ms=wall_ms - round((now - member.since) * 1000),
            phi=0.0 if is_local else member.arrivals.phi(now),
            generation=generation,
            heartbeat=heartbeat,
            last_active_ms=member.active_ms,
            dissenters=dissenters,
        )
