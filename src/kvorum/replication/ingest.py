"""Ingesting: records that were made elsewhere, merged into their owners as they are.

A restore or an import brings records with their versions. Nothing is minted here, so any node
may lead: it sends the record to all N owners, each merges it into what it has (`replica.py`),
and W durable acknowledgements end it well. Merging is idempotent: whoever is in doubt about the
outcome may repeat it.

An owner that is away is owed a hint, where this node is an owner too and so keeps hints; else
anti-entropy brings it the record. Nobody stands in: only owners count, whatever the namespace says.
"""

from __future__ import annotations

from collections.abc import Callable

from kvorum.model.errors import (
    InvalidValue,
    KvorumError,
    Overloaded,
    QuorumError,
    RequestError,
    StorageError,
    TimeoutExpired,
)
from kvorum.model.record import Record, encode
from kvorum.model.request import Answer, Failure, Result
from kvorum.model.tally import Tally
from kvorum.replication.coordinator import OPERATIONS_MAX, RECORD_BYTES_MAX
from kvorum.replication.hints import Hints
from kvorum.replication.site import Place, Site
from kvorum.wire.messages import Write

Reply = Callable[[Result], object]


class Ingest:
    __slots__ = ("_hints", "_site")

    def __init__(self, site: Site, hints: Hints) -> None:
        self._site = site
        self._hints = hints

    def submit(self, namespace: str, key: str, record: Record, w: int, reply: Reply) -> None:
        """Merge `record` into its owners; `reply` comes once, after this has returned.

        `w`: 0 is the namespace's.
        """
        site = self._site
        try:
            if len(site.operations) >= OPERATIONS_MAX:
                raise Overloaded("wanted room for another operation, got none", retry_after=1)
            place = site.place(namespace, key, "strict")
            needed = w or place.settings.write
            if needed > place.settings.replicas:
                raise RequestError(
                    f"wanted w from 1 to {place.settings.replicas}, the namespace's replicas, "
                    f"got {needed}"
                )
            up = [node for node in place.owners if site.is_up(node)]
            if len(up) < needed:
                raise site.too_few("store it", needed, up, place.owners)
            data = encode(place.key, record)
            if len(data) > RECORD_BYTES_MAX:
                raise InvalidValue(
                    f"wanted a record of at most {RECORD_BYTES_MAX} bytes, got {len(data)}"
                )
        except KvorumError as error:
            site.runtime.call_soon(reply, Failure.of(error))
            return
        IngestOperation(site, self._hints, place, Answer(record), needed, reply).start(data)


class IngestOperation:
    """One record. It lives until every owner has answered, or the deadline."""

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
        answer: Answer,
        needed: int,
        reply: Reply,
    ) -> None:
        self.ended = False
        self._site = site
        self._hints = hints
        self._place = place
        self._answer = answer
        self._needed = needed
        self._reply = reply
        self._replied = False
        self._tally = Tally(needed, len(place.owners))
        self._op = site.next_op()

    def start(self, data: bytes) -> None:
        site, key = self._site, self._place.key
        site.operations[self._op] = self
        site.deadlines.watch(self, self._place.settings.timeout_ms)
        message = Write(self._op, key, data)
        for node in self._place.owners:
            if node == site.local:
                site.merge_in(key, data, self._on_stored, node)
            elif site.is_up(node):
                site.transport.send(node, message)
            else:
                self._miss(node)

    @property
    def key(self) -> bytes:
        """The storage key."""
        return self._place.key

    def on_wrote(self, node: int) -> None:
        self._tally.ack(node)
        self._settle()

    def on_refused(self, node: int, code: str) -> None:
        self.on_peer_lost(node)

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
            self._answer_with(Failure.of(self._unknown(TimeoutExpired)))
        self._end()

    def _on_stored(self, node: int, error: StorageError | None) -> None:
        if error is None:
            self.on_wrote(node)
        else:
            self._tally.fail(node)
            self._settle()

    def _miss(self, node: int) -> None:
        self._tally.fail(node)
        site = self._site
        if node != site.local and site.local in self._place.owners:
            self._hints.add(node, self._place.key)

    def _settle(self) -> None:
        if not self._replied:
            if self._tally.won:
                self._answer_with(self._answer)
            elif self._tally.lost:
                self._answer_with(Failure.of(self._unknown(QuorumError)))
        if self._tally.complete and not self.ended:
            self._end()

    def _unknown(self, kind: type[KvorumError]) -> KvorumError:
        got = len(self._tally.acked)
        return kind(
            f"wanted {self._needed} replicas to store the record, got {got}; repeat it, which "
            "does no harm",
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
