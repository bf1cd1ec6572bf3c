"""A replicated write: one encoded record to all N owners at once, done when W are durable.

The client is answered as soon as W replicas, the coordinator's own among them or not, have
the record in a synced log. The rest goes on: the operation lives until every owner has
answered or the deadline has passed, because an owner that did not answer is owed a hint.

Where the preference list goes on beyond the owners (a sloppy quorum), the next healthy node
on it stands in for an owner that is away: it stores the record together with a hint, and its
ack counts. The answer says how many such acks it was given on.

A write that falls short of W is not undone. Replicas that took it keep it, and repair will
spread it: so its outcome is "unknown", never "failed".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kvorum.model.errors import KvorumError, QuorumError, StorageError, TimeoutExpired
from kvorum.model.record import digest
from kvorum.model.replica_set import Quorum
from kvorum.model.request import Answer, Failure, Result
from kvorum.model.tally import Tally
from kvorum.replication.hints import Hints
from kvorum.replication.site import Place, Site, ignore
from kvorum.wire.messages import Handoff, Write

_SAMPLED = 15
"""Of sixteen writes one is timed, for the pace of background work."""


class WriteOperation:
    __slots__ = (
        "_answer",
        "_began",
        "_data",
        "_hints",
        "_op",
        "_place",
        "_replied",
        "_reply",
        "_site",
        "_tally",
        "ended",
    )

    _advice = "it may still take effect: read it before you repeat it"

    def __init__(
        self,
        site: Site,
        hints: Hints,
        place: Place,
        needed: int,
        answer: Answer,
        reply: Callable[[Result], object],
    ) -> None:
        self.ended = False
        self._site = site
        self._hints = hints
        self._place = place
        self._answer = answer
        self._reply = reply
        self._replied = False
        self._tally = Tally((Quorum(needed, place.owners),), place.owners)
        self._op = site.next_op()
        self._began = 0.0
        self._data = b""

    def start(
        self, data: bytes, held: bytes | None, timeout_ms: int, *, anew: bool = False
    ) -> None:
        """Send the encoded record `data`. `held`: what it follows here; None if that is unsound.
        `anew`: what all owners had of the key is lost.

        Raises Overloaded, and has done nothing, where this node stands in and holds too much.
        """
        site, key = self._site, self._place.key
        site.counters.writes += 1
        self._data = data
        away: int | None = None
        if site.local not in self._place.owners:
            away = self._keep_here()
        site.operations[self._op] = self
        if self._op & _SAMPLED == 0:
            self._began = site.runtime.now()
        message = Write(self._op, key, data, self._base(held), anew)
        for node in self._place.owners:
            if node == site.local:
                self._store_here(held, data)
            elif node == away:
                continue
            elif site.is_up(node):
                site.transport.send(node, message)
            else:
                self._miss(node)
        if anew:
            site.doubts.renew(key)
        site.deadlines.watch(self, timeout_ms)

    @property
    def key(self) -> bytes:
        """The storage key."""
        return self._place.key

    def _store_here(self, held: bytes | None, data: bytes) -> None:
        site = self._site
        site.put(self._place.key, held or b"", data, self._on_stored, site.local)

    def _base(self, held: bytes | None) -> bytes | None:
        """What replicas may take the record for a successor of, and not look into it.

        Where there are siblings they have to: of the last one alone they see from outside when
        it expires.
        """
        if held is None or len(self._answer.record.versions) > 1:
            return None
        return digest(held)

    # What replicas say

    def _on_stored(self, node: int, error: StorageError | None) -> None:
        if error is None:
            self.on_wrote(node)
            return
        owner = self._tally.miss(node)
        if owner is not None:
            self._tally.give_up(owner)
            self._settle()

    def on_wrote(self, node: int) -> None:
        self._tally.ack(node)
        self._settle()

    def on_refused(self, node: int, code: str) -> None:
        self._miss(node)
        self._settle()

    def on_peer_lost(self, node: int) -> None:
        self._miss(node)
        self._settle()

    def on_deadline(self) -> None:
        if self.ended:
            return
        self._site.counters.timeouts += 1
        for owner in self._tally.missing:
            self._tally.give_up(owner)
            self._owe(owner)
        if not self._replied:
            self._answer_with(Failure.of(self._unknown(TimeoutExpired, "before the deadline")))
        self._end()

    # Owners that are away

    def _miss(self, node: int) -> None:
        """`node`, an owner or one that stands in, does not have the record for all we know."""
        tally = self._tally
        owner = tally.miss(node)
        if owner is None:
            return
        stand_in = self._stand_in()
        if stand_in is None:
            tally.give_up(owner)
            self._owe(owner)
            return
        tally.stand_in(stand_in, owner)
        site, key = self._site, self._place.key
        site.counters.handoffs += 1
        site.transport.send(stand_in, Handoff(self._op, key, self._data, owner))

    def _stand_in(self) -> int | None:
        """The next healthy node of the preference list that has no part in this write yet."""
        place, site = self._place, self._site
        for node in place.preference[len(place.owners) :]:
            if node != site.local and not self._tally.takes_part(node) and site.is_up(node):
                return node
        return None

    def _keep_here(self) -> int | None:
        """Coordinating without being an owner, this node stands in for one: returns which.

        It has to, and first of all: its next dot of the key will cover this one, so it may never
        make a version of which it keeps no copy.
        """
        site, place = self._site, self._place
        owner = next((node for node in place.owners if not site.is_up(node)), place.owners[0])
        self._hints.keep(owner, place.key, len(self._data), ignore, None)
        site.merge_in(place.key, self._data, self._on_stored, site.local)
        site.counters.handoffs += 1
        self._tally.stand_in(site.local, owner)
        return owner

    def _owe(self, owner: int) -> None:
        site = self._site
        if owner != site.local and site.local in self._place.owners:
            self._hints.add(owner, self._place.key)

    # Ends

    def _settle(self) -> None:
        tally = self._tally
        if not self._replied:
            if tally.won:
                self._answer_with(self._won())
            elif tally.lost:
                self._answer_with(Failure.of(self._unknown(QuorumError, "")))
        if tally.complete and not self.ended:
            self._end()

    def _won(self) -> Answer:
        site = self._site
        if self._began:
            site.pace.sample((site.runtime.now() - self._began) * 1000)
        hinted = self._tally.hinted
        return msgspec.structs.replace(self._answer, hinted=hinted) if hinted else self._answer

    def _unknown(self, kind: type[KvorumError], when: str) -> KvorumError:
        needed, got = self._tally.progress()
        return kind(
            f"wanted {needed} replicas to store it, got {got} {when}".rstrip()
            + f"; {self._advice}",
            outcome="unknown",
            needed=needed,
            got=got,
            replicas=self._site.node_names(list(self._place.owners)),
        )

    def _answer_with(self, result: Result) -> None:
        self._replied = True
        self._reply(result)

    def _end(self) -> None:
        self.ended = True
        self._site.operations.pop(self._op, None)
