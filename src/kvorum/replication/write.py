"""A replicated write: one encoded record to all N owners at once, done when W are durable.

The client is answered as soon as W replicas, the coordinator's own among them or not, have
the record in a synced log. The rest goes on: the operation lives until every owner has
answered or the deadline has passed, because an owner that did not answer is owed a hint.

A write that falls short of W is not undone. Replicas that took it keep it, and repair will
spread it: so its outcome is "unknown", never "failed".
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.errors import KvorumError, QuorumError, StorageError, TimeoutExpired
from kvorum.model.record import digest
from kvorum.model.request import Answer, Failure, Result
from kvorum.model.tally import Tally
from kvorum.replication.hints import Hints
from kvorum.replication.site import Place, Site
from kvorum.wire.messages import Write


class WriteOperation:
    __slots__ = (
        "_answer",
        "_hints",
        "_needed",
        "_op",
        "_place",
        "_replied",
        "_reply",
        "_site",
        "_tally",
        "ended",
    )

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
        self._needed = needed
        self._answer = answer
        self._reply = reply
        self._replied = False
        self._tally = Tally(needed, len(place.owners))
        self._op = site.next_op()

    def start(self, data: bytes, held: bytes | None, timeout_ms: int) -> None:
        """Send the encoded record `data`. `held`: what it follows here; None if that is unsound."""
        site, key = self._site, self._place.key
        site.counters.writes += 1
        site.operations[self._op] = self
        message = Write(self._op, key, data, None if held is None else digest(held))
        for node in self._place.owners:
            if node == site.local:
                site.put(key, held or b"", data, self._on_stored, None)
            elif site.transport.is_up(node):
                site.transport.send(node, message)
            else:
                self._miss(node)
        site.deadlines.watch(self, timeout_ms)

    def _on_stored(self, _arg: object, error: StorageError | None) -> None:
        if error is None:
            self.on_wrote(self._site.local)
        else:
            self._tally.fail(self._site.local)
            self._settle()

    def on_wrote(self, node: int) -> None:
        self._tally.ack(node)
        self._settle()

    def on_refused(self, node: int) -> None:
        self._miss(node)
        self._settle()

    def on_peer_lost(self, node: int) -> None:
        if node in self._place.owners and not self._tally.has(node):
            self._miss(node)
            self._settle()

    def on_deadline(self) -> None:
        if self.ended:
            return
        self._site.counters.timeouts += 1
        for node in self._place.owners:
            if not self._tally.has(node):
                self._miss(node)
        if not self._replied:
            self._answer_with(Failure.of(self._unknown(TimeoutExpired, "before the deadline")))
        self._end()

    def _miss(self, node: int) -> None:
        """`node` does not have the record for all this site knows: owe it a hint."""
        self._tally.fail(node)
        if node != self._site.local:
            self._hints.add(node, self._place.key)

    def _settle(self) -> None:
        tally = self._tally
        if not self._replied:
            if tally.won:
                self._answer_with(self._answer)
            elif tally.lost:
                self._answer_with(Failure.of(self._unknown(QuorumError, "")))
        if tally.complete and not self.ended:
            self._end()

    def _unknown(self, kind: type[KvorumError], when: str) -> KvorumError:
        got = len(self._tally.acked)
        return kind(
            f"wanted {self._needed} replicas to store it, got {got} {when}".rstrip()
            + "; it may still take effect: read it before you repeat it",
            outcome="unknown",
            needed=self._needed,
            got=got,
            replicas=self._site.node_names(list(self._place.owners)),
        )

    def _answer_with(self, result: Result) -> None:
        self._replied = True
        self._reply(result)

    def _end(self) -> None:
        self.ended = True
        self._site.operations.pop(self._op, None)
