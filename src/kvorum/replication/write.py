"""A replicated write: one encoded record to all N owners at once, done when W are durable.

The client is answered as soon as W replicas, the coordinator's own among them or not, have the
record durably. The operation goes on until every owner has answered or the deadline has passed,
because for an owner that did not answer a hint is added.

Where the preference list goes on beyond the owners (a sloppy quorum), the next healthy node
on it stands in for an owner that is away: it stores the record together with a hint, and its
ack counts. The answer says how many such acks it was given on.

A write that falls short of W is not undone. Replicas that took it keep it, and repair will
spread it: so its outcome is "unknown", never "failed".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kvorum.cluster.view import ClusterView, Place
from kvorum.handoff.hints import Hints
from kvorum.model.errors import KvorumError, QuorumError, StorageError, TimeoutExpired
from kvorum.model.record import digest
from kvorum.model.request import Answer, Failure, Result
from kvorum.model.tally import Tally
from kvorum.model.write_plan import WritePlan
from kvorum.operations.operations import Operations
from kvorum.replica.local_replica import LocalReplica
from kvorum.storage.store import ignore
from kvorum.wire.messages import Handoff, Refused, Reply, Write, Wrote

_SAMPLED = 15
"""Of sixteen writes one is timed, for the pace of background work."""


_ADVICE: Final = "It may still take effect: read the key before you repeat it."


def unknown(
    kind: type[KvorumError],
    progress: tuple[int, int],
    replicas: list[str],
    when: str = "",
    advice: str = _ADVICE,
) -> KvorumError:
    """The error for a write that fell short of its quorum. `progress`: how many replicas have to
    store it, and how many have."""
    needed, got = progress
    return kind(
        f"{got} of {needed} replicas needed have stored the write{when}. {advice}",
        outcome="unknown",
        needed=needed,
        got=got,
        replicas=replicas,
    )


class WriteOperation:
    """The write of one record to all owners of its key."""

    __slots__ = (
        "_answer",
        "_began",
        "_data",
        "_hints",
        "_op",
        "_operations",
        "_place",
        "_plan",
        "_replica",
        "_replied",
        "_reply",
        "_tally",
        "_view",
        "ended",
    )

    _advice = _ADVICE

    def __init__(
        self,
        view: ClusterView,
        replica: LocalReplica,
        operations: Operations,
        hints: Hints,
        place: Place,
        plan: WritePlan,
        answer: Answer,
        reply: Callable[[Result], object],
    ) -> None:
        self.ended = False
        self._view = view
        self._replica = replica
        self._operations = operations
        self._hints = hints
        self._place = place
        self._plan = plan
        self._answer = answer
        self._reply = reply
        self._replied = False
        self._tally = Tally(plan.quorums, plan.targets)
        self._op = operations.next_op()
        self._began = 0.0
        self._data = b""

    def start(
        self, data: bytes, held: bytes | None, timeout_ms: int, *, anew: bool = False
    ) -> None:
        """Send the encoded record `data`. `held`: the record here that it was made from; None if
        that is damaged. `anew`: all owners have lost what they had of the key.

        Raises Overloaded, and has done nothing, where this node stands in and holds too much.
        """
        key, targets = self._place.key, self._plan.targets
        operations, local = self._operations, self._view.local
        operations.counters.writes += 1
        self._data = data
        away: int | None = None
        if local not in targets:
            away = self._keep_here()
        operations.table[self._op] = self
        if self._op & _SAMPLED == 0:
            self._began = operations.runtime.now()
        message = Write(self._op, key, data, self._base(held), anew)
        for node in targets:
            if node == local:
                self._store_here(held, data)
            elif node == away:
                continue
            elif operations.is_up(node):
                operations.transport.send(node, message)
            else:
                self._miss(node)
        if anew:
            self._replica.unverified.renew(key)
        operations.deadlines.watch(self, timeout_ms)

    @property
    def key(self) -> bytes:
        """The storage key."""
        return self._place.key

    def _store_here(self, held: bytes | None, data: bytes) -> None:
        self._replica.put(self._place.key, held or b"", data, self._on_stored, self._view.local)

    def _base(self, held: bytes | None) -> bytes | None:
        """The digest of the record that this one was made from, so that replicas which have that
        one need not decode either.

        None where there are siblings: then they have to decode it, since only of the last version
        they see from outside when it expires.
        """
        if held is None or len(self._answer.record.versions) > 1:
            return None
        return digest(held)

    # What replicas say

    def _on_stored(self, node: int, error: StorageError | None) -> None:
        if error is None:
            self._on_wrote(node)
            return
        owner = self._tally.miss(node)
        if owner is not None:
            self._tally.give_up(owner)
            self._settle()

    def on_reply(self, node: int, message: Reply) -> None:
        kind = type(message)
        if kind is Wrote:
            self._tally.ack(node)
            self._settle()
        elif kind is Refused:
            self._miss(node)
            self._settle()

    def _on_wrote(self, node: int) -> None:
        self._tally.ack(node)
        self._settle()

    def on_peer_lost(self, node: int) -> None:
        self._miss(node)
        self._settle()

    def on_deadline(self) -> None:
        if self.ended:
            return
        self._operations.counters.timeouts += 1
        for owner in self._tally.missing:
            self._tally.give_up(owner)
            self._owe(owner)
        if not self._replied:
            self._answer_with(Failure.of(self._unknown(TimeoutExpired, " before the deadline")))
        self._end()

    # Owners that are away

    def _miss(self, node: int) -> None:
        """`node`, an owner or one that stands in, does not have the record, as far as is known."""
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
        key = self._place.key
        self._operations.counters.handoffs += 1
        self._operations.transport.send(stand_in, Handoff(self._op, key, self._data, owner))

    def _stand_in(self) -> int | None:
        """The next healthy node of the preference list that has no part in this write yet."""
        for node in self._place.replicas.fallbacks:
            if (
                node != self._view.local
                and not self._tally.takes_part(node)
                and self._operations.is_up(node)
            ):
                return node
        return None

    def _keep_here(self) -> int | None:
        """This node coordinates without being an owner, so it stands in for one. Returns that
        owner.

        It has to, and before all others: its next dot of the key will cover this one, so it may
        never make a version of which it keeps no copy.
        """
        place, is_up = self._place, self._operations.is_up
        owners = place.replicas.natural
        owner = next((node for node in owners if not is_up(node)), owners[0])
        self._hints.keep(owner, place.key, len(self._data), ignore, None)
        self._replica.merge_in(place.key, self._data, self._on_stored, self._view.local)
        self._operations.counters.handoffs += 1
        self._tally.stand_in(self._view.local, owner)
        return owner

    def _owe(self, owner: int) -> None:
        if owner != self._view.local and self._view.local in self._place.replicas.natural:
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
        if self._began:
            self._operations.pace.sample((self._operations.runtime.now() - self._began) * 1000)
        hinted = self._tally.hinted
        return msgspec.structs.replace(self._answer, hinted=hinted) if hinted else self._answer

    def _unknown(self, kind: type[KvorumError], when: str) -> KvorumError:
        names = self._view.names(self._place.replicas.natural)
        return unknown(kind, self._tally.progress(), names, when, self._advice)

    def _answer_with(self, result: Result) -> None:
        self._replied = True
        self._reply(result)

    def _end(self) -> None:
        self.ended = True
        self._operations.table.pop(self._op, None)
