"""Ingesting: records that were made elsewhere are merged into their owners as they are.

A restore or an import brings records with their versions. No dot is made here, so any node may
coordinate: it sends the record to all N owners, each merges it into what it has, and W durable
acknowledgements make it a success. Merging is idempotent: an import whose outcome is unknown may be
repeated.

A record from outside may list writes of today's nodes. A node's next write is dropped wherever a
context has it already, so a record that lists writes which their node has not made would swallow
those to come. Each node that has said under which actor it writes is asked whether it made the
writes that the record lists of it, unless it has confirmed as many before; a record with a write
that its node has not made is refused.

For an owner that is away a hint is added, if this node is an owner too; else anti-entropy brings it
the record. No node stands in: only owners count, whatever the namespace says.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from kvorum.cluster.view import ClusterView, Place
from kvorum.handoff.hints import Hints
from kvorum.model.actor import is_same_node
from kvorum.model.errors import (
    InvalidValue,
    KvorumError,
    RequestError,
    UnavailableError,
)
from kvorum.model.record import RECORD_BYTES_MAX, Event, Record, encode
from kvorum.model.request import Answer, Failure, Result, beyond_replicas
from kvorum.model.write_plan import NOTHING, WritePlan
from kvorum.operations.operations import Operations
from kvorum.operations.question import Question, Then
from kvorum.replica.local_replica import LocalReplica
from kvorum.replication.coordinator import OPERATIONS_MAX, overloaded
from kvorum.replication.write import WriteOperation
from kvorum.wire.messages import Message, Refused, Vouch, Wrote

OnResult = Callable[[Result], object]

_NO_EVENT: Final = Event(0, 0, 0)


class Ingest:
    """Takes in records that were exported, as they are."""

    __slots__ = ("_actors", "_hints", "_operations", "_replica", "_view", "_vouched")

    def __init__(
        self, view: ClusterView, replica: LocalReplica, operations: Operations, hints: Hints
    ) -> None:
        self._view = view
        self._replica = replica
        self._operations = operations
        self._hints = hints
        # Node to the actor under which it writes, of those that have said so.
        self._actors: dict[int, int] = {}
        # Node to the latest of its own writes that it has confirmed.
        self._vouched: dict[int, Event] = {}

    def on_sync_state(self, node: int, actor: int) -> None:
        """`node` writes under `actor`."""
        self._actors[node] = actor

    def submit(self, namespace: str, key: str, record: Record, w: int, reply: OnResult) -> None:
        """Merge `record` into its owners; `reply` is called once, after this has returned.

        `w`: how many have to acknowledge; 0 for the namespace's write quorum.
        """
        try:
            if len(self._operations.table) >= OPERATIONS_MAX:
                raise overloaded()
            place = self._view.place(namespace, key, "strict")
            needed = w or place.settings.write
            if needed > place.settings.replicas:
                raise beyond_replicas("w", needed, namespace, place.settings.replicas)
            up = [node for node in place.replicas.natural if self._operations.is_up(node)]
            if len(up) < needed:
                raise self._view.too_few("store it", needed, up, place.replicas.natural)
            if self._replica.unshredded(place.key, record) is not record:
                raise RequestError(
                    f"The record of {key!r} was written before namespace {namespace!r} was "
                    "shredded, and is not taken back. Import it with new versions."
                )
            data = encode(place.key, record)
            if len(data) > RECORD_BYTES_MAX:
                raise InvalidValue(
                    f"The record of {key!r} has {len(data)} bytes, and none of more than "
                    f"{RECORD_BYTES_MAX} is stored."
                )
            self._check_own(key, record)
        except KvorumError as error:
            self._operations.runtime.call_soon(reply, Failure.of(error))
            return
        operation = IngestOperation(
            self._view,
            self._replica,
            self._operations,
            self._hints,
            place,
            _plan(self._view.local, place, needed),
            Answer(record),
            reply,
        )
        unvouched = self._unvouched(record)
        if unvouched:
            vouching = _Vouching(self, unvouched, key, operation, data, reply)
            vouching.start(place.settings.timeout_ms)
        else:
            operation.start(data, None, place.settings.timeout_ms)

    def _check_own(self, key: str, record: Record) -> None:
        if self._replica.authorship.never_made(record.context) is not None:
            raise _not_made(key, self._view.local_name)

    def _unvouched(self, record: Record) -> dict[int, Event]:
        """By node, the latest of its writes that the record lists, if it has not confirmed that
        yet.
        """
        found = {}
        for node, actor in self._actors.items():
            for event in record.context:
                if (
                    node != self._view.local
                    and is_same_node(event.actor, actor)
                    and event > self._vouched.get(node, _NO_EVENT)
                ):
                    found[node] = event
        return found

    def ask(self, node: int, event: Event, then: Then, timeout_ms: int) -> None:
        """Ask `node` whether it has made `event` of its own."""
        question = Question(self._operations, node, then)
        question.ask(Vouch(question.op, (event,)), timeout_ms)

    def on_vouched(self, node: int, event: Event) -> None:
        """`node` has made `event`, and all its earlier writes."""
        self._vouched[node] = max(event, self._vouched.get(node, _NO_EVENT))

    def name(self, node: int) -> str:
        return self._view.name(node)


class _Vouching:
    """Asks nodes whether they made the writes that a record lists of them; then the record is
    stored.
    """

    __slots__ = ("_data", "_failure", "_ingest", "_key", "_left", "_operation", "_reply", "_wanted")

    def __init__(
        self,
        ingest: Ingest,
        wanted: dict[int, Event],
        key: str,
        operation: IngestOperation,
        data: bytes,
        reply: OnResult,
    ) -> None:
        self._data = data
        self._failure: KvorumError | None = None
        self._ingest = ingest
        self._key = key
        self._left = len(wanted)
        self._operation = operation
        self._reply = reply
        self._wanted = wanted

    def start(self, timeout_ms: int) -> None:
        for node, event in self._wanted.items():
            self._ingest.ask(node, event, partial(self._on_reply, node, timeout_ms), timeout_ms)

    def _on_reply(self, node: int, timeout_ms: int, reply: Message | None) -> None:
        self._left -= 1
        if isinstance(reply, Wrote):
            self._ingest.on_vouched(node, self._wanted[node])
        elif isinstance(reply, Refused):
            self._failure = _not_made(self._key, self._ingest.name(node))
        else:
            self._failure = self._failure or UnavailableError(
                f"The record of {self._key!r} lists writes of node {self._ingest.name(node)}, "
                "which does not say whether it made them. Nothing was stored. Retry when it is up."
            )
        if self._left:
            return
        if self._failure is not None:
            self._reply(Failure.of(self._failure))
        else:
            self._operation.start(self._data, None, timeout_ms)


def _plan(local: int, place: Place, needed: int) -> WritePlan:
    replicas = place.replicas
    quorums = replicas.write_quorums(needed)
    return WritePlan(local, replicas.owners, quorums, NOTHING)


class IngestOperation(WriteOperation):
    """The write of a record that was not made from the owners' records: they merge it."""

    __slots__ = ()

    _advice = "Repeat it, which does no harm."

    def _keep_here(self) -> int | None:
        return None  # only owners count

    def _store_here(self, held: bytes | None, data: bytes) -> None:
        self._replica.merge_in(self._place.key, data, self._on_stored, self._view.local)


def _not_made(key: str, name: str) -> InvalidValue:
    return InvalidValue(
        f"The record of {key!r} lists a write of node {name} that {name} has not made. Nothing was "
        "stored. Send records as they were exported from this cluster or another one."
    )
